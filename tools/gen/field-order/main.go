// Command field-order prints, as JSON, how Go encodes a PodTemplateSpec: for
// every struct reached from it the fields in their order, with their types and
// flags. Headrace computes pod template hashes from this table (rollout-api 7.3).
//
// Run it in this folder, after raising the version of k8s.io/api in go.mod:
//
//	go run . > ../../../shared/headrace/kubernetes/data/pod-template-fields.json
//	go run . -dump > ../../../shared/headrace/kubernetes/data/pod-template-types.json
//
// With -dump it prints how Go names what it is made of: what the hash of
// Kubernetes' own controllers reads (see dump.go). With -hash it reads templates,
// one on each line, and prints those hashes: the vectors of Headrace's tests.
//
// A type is "string", "int", "bool", "float", "bytes", "quantity", "intOrString",
// "time", "microTime", "raw" or the name of another struct; "*T" is a pointer,
// "[]T" a list, "{}T" a map with string keys. A flag "e" is omitempty, "z" is
// omitzero.
package main

import (
	"encoding/json"
	"log"
	"os"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var special = map[reflect.Type]string{
	reflect.TypeOf(resource.Quantity{}):  "quantity",
	reflect.TypeOf(intstr.IntOrString{}): "intOrString",
	reflect.TypeOf(metav1.Time{}):        "time",
	reflect.TypeOf(metav1.MicroTime{}):   "microTime",
	reflect.TypeOf(metav1.FieldsV1{}):    "raw",
}

type field [3]string

type table map[string][]field

func (t table) describe(typ reflect.Type) string {
	if name, ok := special[typ]; ok {
		return name
	}
	switch typ.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Pointer:
		return "*" + t.describe(typ.Elem())
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + t.describe(typ.Elem())
	case reflect.Map:
		return "{}" + t.describe(typ.Elem())
	case reflect.Struct:
		return t.add(typ)
	}
	log.Fatalf("no rule for %s", typ)
	return ""
}

// add describes a struct once; the empty entry breaks cycles.
func (t table) add(typ reflect.Type) string {
	name := typ.Name()
	if _, known := t[name]; !known {
		t[name] = []field{}
		t[name] = t.fields(typ)
	}
	return name
}

func (t table) fields(typ reflect.Type) []field {
	fields := []field{}
	for i := range typ.NumField() {
		member := typ.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		if name == "" && member.Anonymous {
			fields = append(fields, t.fields(member.Type)...)
			continue
		}
		if name == "-" || name == "" {
			log.Fatalf("no JSON name for %s.%s", typ, member.Name)
		}
		flags := ""
		for _, option := range strings.Split(options, ",") {
			switch option {
			case "omitempty":
				flags += "e"
			case "omitzero":
				flags += "z"
			}
		}
		fields = append(fields, field{name, t.describe(member.Type), flags})
	}
	return fields
}

func main() {
	root := reflect.TypeOf(corev1.PodTemplateSpec{})
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	var output any
	switch mode {
	case "-hash":
		output = hashes(json.NewDecoder(os.Stdin))
	case "-dump":
		types := newTypes()
		types.add(root)
		output = types
	default:
		t := table{}
		t.add(root)
		output = t
	}
	if err := json.NewEncoder(os.Stdout).Encode(output); err != nil {
		log.Fatal(err)
	}
}
