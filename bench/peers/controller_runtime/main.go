// An operator with controller-runtime: two controllers that own the kinds they write, typed objects, the cache of the
// manager for all reads.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// recipe is bench/recipe.py's file: [method, path, body with tokens] of each request; the status is the last.
type recipe struct {
	Space    [][3]string       `json:"Space"`
	App      [][3]string       `json:"App"`
	Projects map[string]string `json:"projects"`
}

type reconciler struct {
	client.Client
	scheme *runtime.Scheme
	kind   string
	recipe *recipe
}

func object(kind string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{}
	made.SetGroupVersionKind(schema.GroupVersionKind{Group: "decco.platform9.com", Version: "v1beta2", Kind: kind})
	return made
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	found := object(r.kind)
	if err := r.Get(ctx, request.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	// The API server's default is a status without conditions.
	if _, has, _ := unstructured.NestedSlice(found.Object, "status", "conditions"); has {
		return ctrl.Result{}, nil
	}
	found = found.DeepCopy() // the cache's own object must not be changed
	lines, space := r.recipe.App, request.Namespace
	if r.kind == "Space" {
		lines, space = r.recipe.Space, request.Name
	}
	tokens := func(namespaceUID string) *strings.Replacer {
		return strings.NewReplacer(
			"spacetoken", space, "apptoken", request.Name, "projecttoken", r.recipe.Projects[space],
			"namespace-uid-token", namespaceUID, "own-uid-token", string(found.GetUID()),
			"version-token", found.GetResourceVersion())
	}
	fill := tokens("")
	last := len(lines) - 1
	for _, each := range lines[:last] {
		obj, err := r.decode([]byte(fill.Replace(each[2])))
		if err != nil {
			return ctrl.Result{}, err
		}
		if err := r.write(ctx, each[0], obj); err != nil {
			return ctrl.Result{}, err
		}
		if _, ok := obj.(*corev1.Namespace); ok {
			fill = tokens(string(obj.GetUID()))
		}
	}
	var wanted map[string]any
	if err := json.Unmarshal([]byte(fill.Replace(lines[last][2])), &wanted); err != nil {
		return ctrl.Result{}, err
	}
	found.Object["status"] = wanted["status"]
	err := r.Status().Update(ctx, found)
	if apierrors.IsConflict(err) {
		return ctrl.Result{Requeue: true}, nil //nolint:staticcheck // the next event brings the newer version
	}
	return ctrl.Result{}, err
}

func (r *reconciler) write(ctx context.Context, method string, obj client.Object) error {
	if method == "PUT" {
		return r.Update(ctx, obj)
	}
	existing := obj.DeepCopyObject().(client.Object)
	if r.Get(ctx, client.ObjectKeyFromObject(obj), existing) == nil { // from the cache
		return nil
	}
	return client.IgnoreAlreadyExists(r.Create(ctx, obj))
}

// Typed where the scheme has the kind, as operators are written; else unstructured.
func (r *reconciler) decode(text []byte) (client.Object, error) {
	var made unstructured.Unstructured
	if err := json.Unmarshal(text, &made.Object); err != nil {
		return nil, err
	}
	if !r.scheme.Recognizes(made.GroupVersionKind()) {
		return &made, nil
	}
	typed, err := r.scheme.New(made.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	obj := typed.(client.Object)
	return obj, json.Unmarshal(text, obj)
}

func check(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func read(path string) *recipe {
	text, err := os.ReadFile(path)
	check(err)
	made := &recipe{}
	check(json.Unmarshal(text, made))
	return made
}

func main() {
	recipeFile := flag.String("recipe", "", "file of bench/recipe.py")
	inFlight := flag.Int("in-flight", 16, "Spaces and Apps at once")
	kubeconfig := flag.Lookup("kubeconfig") // controller-runtime has registered it
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig.Value.String())
	check(err)
	config.QPS, config.Burst = -1, -1 // no limit of the client's own
	scheme := runtime.NewScheme()
	check(clientgoscheme.AddToScheme(scheme))
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"},
		Client:  client.Options{Cache: &client.CacheOptions{Unstructured: true}},
	})
	check(err)
	work := read(*recipeFile)
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
	gateway := &unstructured.Unstructured{}
	gateway.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "Gateway"})
	owned := map[string][]client.Object{
		"Space": {&corev1.Namespace{}, &corev1.Secret{}, &networkingv1.NetworkPolicy{}, gateway},
		"App":   {&appsv1.Deployment{}, &corev1.Service{}, &networkingv1.NetworkPolicy{}, route},
	}
	for kind, kinds := range owned {
		builder := ctrl.NewControllerManagedBy(manager).For(object(kind)).
			WithOptions(controller.Options{MaxConcurrentReconciles: *inFlight})
		for _, each := range kinds {
			builder = builder.Owns(each)
		}
		check(builder.Complete(&reconciler{manager.GetClient(), scheme, kind, work}))
	}
	check(manager.Start(ctrl.SetupSignalHandler()))
}
