// Answers who may connect to whom under a set of NetworkPolicies, with cyclonus' implementation of their meaning.
//
// cyclonus' own command prints tables for people, one question at a time. This reads all questions as JSON from standard
// input and writes the answers as JSON to standard output; what a policy means is decided by cyclonus' matcher alone.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// peer is a pod, or with no namespace something outside the cluster (a proxy on the host's network is such a one).
type peer struct {
	IP              string            `json:"ip"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
}

// question is about some ranges of ports, each with its first and last.
type question struct {
	From     string          `json:"from"`
	To       string          `json:"to"`
	Protocol corev1.Protocol `json:"protocol"`
	Ports    [][2]int        `json:"ports"`
}

type input struct {
	Policies  []*networkingv1.NetworkPolicy `json:"policies"`
	Peers     map[string]peer               `json:"peers"`
	Questions []question                    `json:"questions"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes for each question, in their order, the list of ports that are open.
func run(from io.Reader, to io.Writer) error {
	decoder := json.NewDecoder(from)
	// Strict: a policy with a field that this version does not know would be judged without it.
	decoder.DisallowUnknownFields()
	var in input
	if err := decoder.Decode(&in); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	policies := matcher.BuildNetworkPolicies(false, in.Policies)
	answers := make([][]int, 0, len(in.Questions))
	for number, asked := range in.Questions {
		source, known := in.Peers[asked.From]
		target, both := in.Peers[asked.To]
		if !known || !both {
			return fmt.Errorf("question %d is about %q and %q, which are not both among the peers", number, asked.From, asked.To)
		}
		traffic := &matcher.Traffic{Source: source.traffic(), Destination: target.traffic(), Protocol: asked.Protocol}
		open := []int{}
		for _, ports := range asked.Ports {
			for port := ports[0]; port <= ports[1]; port++ {
				traffic.ResolvedPort = port
				if policies.IsTrafficAllowed(traffic).IsAllowed() {
					open = append(open, port)
				}
			}
		}
		answers = append(answers, open)
	}
	return json.NewEncoder(to).Encode(answers)
}

func (p peer) traffic() *matcher.TrafficPeer {
	if p.Namespace == "" {
		return &matcher.TrafficPeer{IP: p.IP}
	}
	internal := &matcher.InternalPeer{Namespace: p.Namespace, NamespaceLabels: p.NamespaceLabels, PodLabels: p.Labels}
	return &matcher.TrafficPeer{IP: p.IP, Internal: internal}
}
