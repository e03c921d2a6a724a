// Program certmanager runs cert-manager's own controllers: those for Issuers, Certificates, CertificateRequests, Orders
// and Challenges. cert-manager's main package is a module of its own that is not served, so this is another one around
// the same packages. What it leaves out: leader election, metrics, Vault, Venafi, and the shims that make Certificates
// of Ingresses and Gateways. cert-manager's webhook is another program, and is not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// As in cert-manager's chart.
const (
	workers             = 5
	concurrent          = 60
	minimumBackoff      = time.Hour
	maximumBackoff      = 32 * time.Hour
	secretsOfIssuersIn  = "cert-manager"
	cpuOfSolver         = "10m"
	memoryOfSolver      = "64Mi"
	cpuLimitOfSolver    = "100m"
	memoryLimitOfSolver = "64Mi"
)

var (
	kubeconfig  = flag.String("kubeconfig", "", "how to reach the API server")
	nameservers = flag.String("nameservers", "", "host:port of the resolvers of its own checks, separated by commas")
	gateways    = flag.Bool("gateways", true, "whether solvers may be HTTPRoutes")
	solver      = flag.String("solver", "acmesolver", "image of the pods that answer HTTP-01")
	retry       = flag.Duration("retry", 10*time.Second, "between two of its own checks of DNS-01")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	factory, err := controller.NewContextFactory(ctx, options())
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	var built []controller.Interface
	for name, construct := range controller.Known() {
		each, err := construct(factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		built = append(built, each)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	if *gateways {
		shared.GWShared.Start(ctx.Done())
	}
	ended := make(chan error)
	for _, each := range built {
		go func() { ended <- each.Run(workers, ctx) }()
	}
	fmt.Println("started", len(built), "controllers")
	var failed error
	for range built {
		failed = errors.Join(failed, <-ended)
	}
	return failed
}

func options() controller.ContextOptions {
	var resolvers []string
	if *nameservers != "" {
		resolvers = strings.Split(*nameservers, ",")
	}
	return controller.ContextOptions{
		Kubeconfig:    *kubeconfig,
		IssuerOptions: controller.IssuerOptions{ClusterResourceNamespace: secretsOfIssuersIn},
		ACMEOptions: controller.ACMEOptions{
			HTTP01SolverImage:                 *solver,
			HTTP01SolverResourceRequestCPU:    resource.MustParse(cpuOfSolver),
			HTTP01SolverResourceRequestMemory: resource.MustParse(memoryOfSolver),
			HTTP01SolverResourceLimitsCPU:     resource.MustParse(cpuLimitOfSolver),
			HTTP01SolverResourceLimitsMemory:  resource.MustParse(memoryLimitOfSolver),
			ACMEHTTP01SolverRunAsNonRoot:      true,
			HTTP01SolverNameservers:           resolvers,
			DNS01Nameservers:                  resolvers,
			// The resolvers of a test are the authoritative ones.
			DNS01CheckAuthoritative: false,
			DNS01CheckRetryPeriod:   *retry,
		},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: minimumBackoff,
			CertificateRequestMaximumBackoffDuration: maximumBackoff,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: concurrent},
		ConfigOptions:    controller.ConfigOptions{EnableGatewayAPI: *gateways},
	}
}
