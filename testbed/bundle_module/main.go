// Program bundle-validate judges the folder of an operator bundle by the rules of operator-framework's own library, those
// of `operator-sdk bundle validate` and of OperatorHub: each line of output is an error or a warning. It ends with 1 if
// there is an error.
package main

import (
	"fmt"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
)

// All of the library but those for other formats (package manifests), those that it calls deprecated, and the one for
// several architectures, which pulls the images.
var validators = interfaces.Validators{
	validation.ClusterServiceVersionValidator,
	validation.CustomResourceDefinitionValidator,
	validation.BundleValidator,
	validation.OperatorHubV2Validator,
	validation.StandardCategoriesValidator,
	validation.StandardCapabilitiesValidator,
	validation.ObjectValidator,
	validation.AlphaDeprecatedAPIsValidator,
	validation.GoodPracticesValidator,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle-validate <folder of the bundle>")
		os.Exit(2)
	}
	bundle, err := manifests.GetBundleFromDir(os.Args[1])
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	status := 0
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, each := range result.Warnings {
			fmt.Printf("warning: %s: %v\n", result.Name, each)
		}
		for _, each := range result.Errors {
			fmt.Printf("error: %s: %v\n", result.Name, each)
			status = 1
		}
	}
	os.Exit(status)
}
