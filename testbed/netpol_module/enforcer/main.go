// Enforces NetworkPolicies on this machine, with the implementation of Kubernetes' SIG Network (kube-network-policies).
//
// The upstream program asks nftables to hand over the first packet of each connection, which needs a kernel with
// CONFIG_NFT_QUEUE; iptables can do the same with NFQUEUE and is in more kernels. So this takes packets from a queue that
// somebody else's rules fill (testbed/enforcer.py) and gives them to upstream's engine, which alone decides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	nfqueue "github.com/florianl/go-nfqueue/v2"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
)

const (
	headerBytes  = 128
	queueLength  = 4096
	writeTimeout = 100 * time.Millisecond
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of somebody who may watch namespaces, pods and NetworkPolicies")
	queue := flag.Uint("queue", 100, "number of the NFQUEUE that the packets come from")
	netns := flag.String("netns", "", "file of the network namespace with the queue (default: this process' own)")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, uint16(*queue), *netns); err != nil {
		slog.Error("ended", "error", err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string, number uint16, netns string) error {
	engine, err := newEngine(ctx, kubeconfig)
	if err != nil {
		return err
	}
	config := &nfqueue.Config{
		NfQueue:      number,
		MaxPacketLen: headerBytes,
		MaxQueueLen:  queueLength,
		Copymode:     nfqueue.NfQnlCopyPacket,
		// The kernel need not cut up or check what comes in one piece: only headers are read.
		Flags:        nfqueue.NfQaCfgFlagGSO,
		WriteTimeout: writeTimeout,
	}
	if netns != "" {
		file, err := os.Open(netns)
		if err != nil {
			return err
		}
		defer file.Close()
		config.NetNS = int(file.Fd())
	}
	packets, err := nfqueue.Open(config)
	if err != nil {
		return fmt.Errorf("queue %d: %w", number, err)
	}
	defer packets.Close()
	decide := func(attribute nfqueue.Attribute) int {
		verdict := nfqueue.NfDrop
		if allowed(ctx, engine, *attribute.Payload) {
			verdict = nfqueue.NfAccept
		}
		if err := packets.SetVerdict(*attribute.PacketID, verdict); err != nil {
			slog.Error("verdict not taken", "error", err.Error())
		}
		return 0
	}
	failed := func(err error) int {
		var timeout interface{ Timeout() bool }
		if ctx.Err() == nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			slog.Error("packet not received", "error", err.Error())
		}
		return 0
	}
	if err := packets.RegisterWithErrorFunc(ctx, decide, failed); err != nil {
		return fmt.Errorf("queue %d: %w", number, err)
	}
	slog.Info("ready")
	<-ctx.Done()
	return nil
}

// newEngine returns upstream's engine once it knows all namespaces, pods and policies.
func newEngine(ctx context.Context, kubeconfig string) (*networkpolicy.PolicyEngine, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	namespaces := factory.Core().V1().Namespaces()
	pods := factory.Core().V1().Pods()
	byAddress, err := podinfo.NewInformerResolver(pods.Informer())
	if err != nil {
		return nil, err
	}
	known := podinfo.NewInformerProvider(pods, namespaces, nil, []podinfo.IPResolver{byAddress})
	// The node's name only chooses which packets upstream's own nftables rules take.
	standard := networkpolicy.NewStandardNetworkPolicy("", namespaces, pods, factory.Networking().V1().NetworkPolicies())
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), standard.Ready) {
		return nil, errors.New("ended before everything was listed")
	}
	return networkpolicy.NewPolicyEngine(known, []api.PolicyEvaluator{standard}), nil
}

// allowed says whether a packet may pass, and writes it down; what cannot be read or judged may not.
func allowed(ctx context.Context, engine *networkpolicy.PolicyEngine, bytes []byte) bool {
	packet, err := network.ParsePacket(bytes)
	if err != nil {
		slog.Error("packet not understood", "error", err.Error())
		return false
	}
	passes, err := engine.EvaluatePacket(ctx, &packet)
	if err != nil {
		slog.Error("packet not judged", "error", err.Error())
		return false
	}
	slog.Info("verdict", "from", packet.SrcIP.String(), "to", packet.DstIP.String(), "port", packet.DstPort,
		"protocol", string(packet.Proto), "allowed", passes)
	return passes
}
