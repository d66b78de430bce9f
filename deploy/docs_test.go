package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is docs/deploy.md and what it has people type, one command a line.
func page(t *testing.T) (text string, commands []string) {
	t.Helper()
	text = string(read(t, "../docs/deploy.md"))
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if line, _, _ = strings.Cut(line, " #"); strings.TrimSpace(line) != "" {
				commands = append(commands, strings.TrimSpace(line))
			}
		}
	}
	if len(commands) < 15 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	return text, commands
}

// TestDocsPaths: every file and folder that the page names is there.
func TestDocsPaths(t *testing.T) {
	text, _ := page(t)
	found := 0
	for _, m := range regexp.MustCompile(`(?:deploy|docs|overlays|models|scripts)/[a-zA-Z0-9_./-]+`).FindAllString(text, -1) {
		m = strings.TrimRight(m, ".")
		exists := func(root string) bool { _, err := os.Stat(filepath.Join(root, m)); return err == nil }
		if found++; !exists("..") && !exists("kubernetes") && m != "models/sdxl-turbo" {
			t.Errorf("there is no %s", m)
		}
	}
	for _, m := range regexp.MustCompile(`\]\((?:\.\./)?([a-zA-Z0-9_./-]+)(?:#[a-z-]+)?\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("../docs", m[1])); err != nil {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("a link leads to %s, which is not there", m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("the page names %d paths", found)
	}
}

// TestDocsCommands: stages, services, overlays, objects and images that are typed are those of the files.
func TestDocsCommands(t *testing.T) {
	_, commands := page(t)
	services := compose(t).Services
	var objects, images []string
	eachOverlay(t, func(t *testing.T, all []manifest) {
		for _, m := range all {
			objects = append(objects, strings.ToLower(m.Kind)+"/"+m.Metadata.Name)
			for _, c := range m.containers() {
				images = append(images, c.Image)
			}
		}
	})
	value := func(line, flag string) string {
		if m := regexp.MustCompile(flag + `[= ](\S+)`).FindStringSubmatch(line); m != nil {
			return m[1]
		}
		return ""
	}
	for _, line := range commands {
		if stage := value(line, "--target"); stage != "" && !strings.Contains(string(read(t, filepath.Join("..", value(line, "--file")))), " AS "+stage+"\n") {
			t.Errorf("no stage %s: %s", stage, line)
		}
		if folder := value(line, "--kustomize"); folder != "" {
			if _, err := os.Stat(filepath.Join("..", folder, "kustomization.yaml")); err != nil {
				t.Errorf("%v: %s", err, line)
			}
		}
		if rest, ok := strings.CutPrefix(line, "docker compose --file deploy/compose.yaml "); ok {
			checkComposeCommand(t, services, strings.Fields(rest))
		}
		for _, object := range regexp.MustCompile(`\b(?:deployment|service|job)/[a-z-]+`).FindAllString(line, -1) {
			if !slices.Contains(objects, object) {
				t.Errorf("no overlay has %s: %s", object, line)
			}
		}
		for _, image := range regexp.MustCompile(`(?:[a-z.]+/)?stipple[-/][a-z-]+:[0-9.]*[0-9]`).FindAllString(line, -1) {
			if !slices.ContainsFunc(images, func(i string) bool { return i == image || strings.HasSuffix(i, "/"+image) }) {
				t.Errorf("no overlay has an image %s: %s", image, line)
			}
		}
		if m := regexp.MustCompile(`/opt/stipple/bin/(worker|enqueue) ([a-z]+)(.*)`).FindStringSubmatch(line); m != nil {
			checkFlags(t, m[1], []string{m[2]}, m[3])
		}
	}
}

// checkComposeCommand holds that services are there, and that a program run in one has the flags.
func checkComposeCommand(t *testing.T, services map[string]service, words []string) {
	t.Helper()
	last := words[len(words)-1]
	switch words[0] {
	case "up", "down":
	case "stop", "logs":
		if _, ok := services[last]; !ok {
			t.Errorf("there is no service %s", last)
		}
	case "run":
		i := slices.IndexFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") }) + 1
		if _, ok := services[words[i]]; !ok {
			t.Errorf("there is no service %s", words[i])
		}
		checkFlags(t, "enqueue", nil, strings.Join(words[i+1:], " "))
	default:
		t.Errorf("what is docker compose %s?", words[0])
	}
}

func checkFlags(t *testing.T, program string, args []string, line string) {
	t.Helper()
	for _, flag := range regexp.MustCompile(`(?:^|\s)--[a-z-]+`).FindAllString(line, -1) {
		if flag = strings.TrimSpace(flag); !hasFlag(t, program, args, flag) {
			t.Errorf("%s %s has no flag %s", program, args, flag)
		}
	}
}

// TestDocsSettings: settings that the page speaks of are known, and the times it tells are those of the files.
func TestDocsSettings(t *testing.T) {
	text, _ := page(t)
	known := settings(t, "worker")
	for name := range settings(t, "enqueue", "serve") {
		known[name] = true
	}
	others := []string{"SOURCE_DATE_EPOCH", "VERSION", "COMMIT"} // of builds
	for _, m := range regexp.MustCompile("`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`").FindAllStringSubmatch(text, -1) {
		if name := m[1]; !known[name] && !standard.MatchString(name) && !slices.Contains(others, name) && !strings.HasPrefix(name, "STIPPLE_") {
			t.Errorf("%s is no setting of worker or enqueue serve", name)
		}
	}
	for overlay, row := range map[string]string{"cpu": "compose, `overlays/cpu`", "cuda": "`overlays/cuda`", "spot": "`overlays/spot`"} {
		m := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row) + ` \| (\d+) s \| (\d+) s \| (\d+) s \|$`).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("the page does not tell the times of %s", overlay)
			continue
		}
		made := string(read(t, filepath.Join("check/testdata/overlays", overlay+".yaml")))
		for _, want := range []string{"- name: DRAIN_TIMEOUT\n          value: " + m[1] + "s\n", "- name: FLUSH_TIMEOUT\n          value: " + m[2] + "s\n", "terminationGracePeriodSeconds: " + m[3] + "\n"} {
			if !strings.Contains(made, want) {
				t.Errorf("overlay %s has not %q", overlay, want)
			}
		}
	}
}
