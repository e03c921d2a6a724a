// Program kstatus prints the status of Kubernetes objects by the rules of cli-utils, which Flux, kpt and Helm 4 wait by:
// each line of input is an object as JSON, each line of output its status and the message.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const longestObject = 4 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestObject)
	for lines.Scan() {
		end(print(lines.Bytes()))
	}
	end(lines.Err())
}

func print(line []byte) error {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(line); err != nil {
		return err
	}
	result, err := status.Compute(object)
	if err == nil {
		fmt.Println(result.Status, strings.ReplaceAll(result.Message, "\n", " "))
	}
	return err
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}
