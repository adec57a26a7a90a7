package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const (
	// needCompose is the first version that understands the whole of our file.
	needCompose = 20
	// needEngineMemory is the sum of the containers' limits.
	needEngineMemory = 3904 << 20
)

// composeSymptoms looks at what docker compose needs to bring the shop up from
// the working directory.
func composeSymptoms(ctx context.Context) ([]symptom, error) {
	settings, err := readSettings(".env")
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("there is no .env here: run this in the root of the repository")
	}
	if err != nil {
		return nil, err
	}
	engine := dockerEngine(ctx)
	all := []symptom{engine, composeVersion(ctx), composeFile(ctx)}
	if !engine.OK {
		return all, nil
	}
	return append(all, engineMemory(ctx), composePorts(ctx, settings), postgresVolume(ctx, settings), images(ctx, settings)), nil
}

// readSettings reads a .env file. The environment comes first, as for compose.
func readSettings(file string) (map[string]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if v, set := os.LookupEnv(name); set {
			value = v
		}
		out[name] = value
	}
	return out, nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, first)
	}
	return strings.TrimSpace(string(out)), nil
}

func dockerEngine(ctx context.Context) symptom {
	s := symptom{Name: "docker", OK: true, Mend: "install Docker and start it: https://docs.docker.com/get-docker"}
	version, err := docker(ctx, "version", "--format", "{{.Server.Version}}")
	s.Detail = "engine " + version
	if err != nil {
		s.OK, s.Detail = false, err.Error()
	}
	return s
}

func composeVersion(ctx context.Context) symptom {
	s := symptom{Name: "compose", Mend: "install the compose plugin: https://docs.docker.com/compose/install"}
	version, err := docker(ctx, "compose", "version", "--short")
	major, minor := numbers(strings.TrimPrefix(version, "v"))
	s.OK = err == nil && (major > 2 || major == 2 && minor >= needCompose)
	s.Detail = fmt.Sprintf("%s, needed: 2.%d", version, needCompose)
	if err != nil {
		s.Detail = err.Error()
	}
	return s
}

// composeFile says which variable is wrong or missing, in compose's own words.
func composeFile(ctx context.Context) symptom {
	s := symptom{Name: "file", OK: true, Detail: "docker-compose.yml and .env fit together", Mend: "mend .env, or take the one of the repository: git checkout .env"}
	if _, err := docker(ctx, "compose", "config", "-q"); err != nil {
		s.OK, s.Detail = false, err.Error()
	}
	return s
}

func engineMemory(ctx context.Context) symptom {
	s := symptom{Name: "memory", Mend: "give Docker more memory (Docker Desktop: Settings, Resources), or close other containers"}
	out, err := docker(ctx, "info", "--format", "{{.MemTotal}}")
	total, parsed := strconv.ParseInt(out, 10, 64)
	if err = errors.Join(err, parsed); err != nil {
		s.Detail = err.Error()
		return s
	}
	s.OK, s.Detail = total >= needEngineMemory, fmt.Sprintf("the engine has %d MiB, the containers may take %d", total>>20, needEngineMemory>>20)
	return s
}

// composePorts looks whether the published ports are free, or ours already.
func composePorts(ctx context.Context, settings map[string]string) symptom {
	s := symptom{Name: "ports", OK: true}
	up, _ := docker(ctx, "compose", "ps", "-q") // none when it cannot be asked
	var ports, taken []string
	for _, name := range []string{"CONSOLE_PORT", "TEMPORAL_UI_PORT", "MAIL_UI_PORT"} {
		ports = append(ports, settings[name])
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", settings[name]))
		if err != nil {
			taken = append(taken, name+"="+settings[name])
			continue
		}
		_ = ln.Close()
	}
	switch {
	case len(taken) == 0:
		s.Detail = strings.Join(ports, ", ") + " are free"
	case up != "":
		s.Detail = "the shop is up"
	default:
		s.OK, s.Detail = false, "taken by another program: "+strings.Join(taken, ", ")
		s.Mend = "stop it, or set another port in .env"
	}
	return s
}

// postgresVolume finds a volume that an earlier major version of Postgres wrote:
// the new one refuses to start on it.
func postgresVolume(ctx context.Context, settings map[string]string) symptom {
	s := symptom{Name: "volumes", OK: true, Detail: "none yet", Mend: "restore a dump into a new volume, see docs/operations.md, or begin anew: docker compose down -v"}
	project := "cartwheel"
	if v := os.Getenv("COMPOSE_PROJECT_NAME"); v != "" {
		project = v
	}
	volume, image := project+"_postgres", settings["POSTGRES_IMAGE"]
	if _, err := docker(ctx, "volume", "inspect", volume); err != nil {
		return s
	}
	_, tag, _ := strings.Cut(image, ":")
	want, _ := numbers(tag)
	out, err := docker(ctx, "run", "--rm", "--pull", "never", "--entrypoint", "cat", "-v", volume+":/volume:ro", image, "/volume/PG_VERSION")
	if err != nil {
		s.Detail = "there, and cannot be looked at before " + image + " is"
		return s
	}
	s.OK = out == strconv.Itoa(want)
	s.Detail = fmt.Sprintf("written by Postgres %s, and %s reads %d", out, image, want)
	return s
}

// images says which images are not here yet and have to be fetched.
func images(ctx context.Context, settings map[string]string) symptom {
	s := symptom{Name: "images", OK: true, Detail: "all are here"}
	out, err := docker(ctx, "image", "ls", "--format", "{{json .}}")
	if err != nil {
		s.OK, s.Detail = false, err.Error()
		return s
	}
	var here []string
	for line := range strings.Lines(out) {
		var image struct{ Repository, Tag string }
		if json.Unmarshal([]byte(line), &image) == nil {
			here = append(here, image.Repository+":"+image.Tag)
		}
	}
	var missing []string
	for name, image := range settings {
		if strings.HasSuffix(name, "_IMAGE") && !slices.Contains(here, image) {
			missing = append(missing, image)
		}
	}
	if len(missing) == 0 {
		return s
	}
	slices.Sort(missing)
	s.Detail = "to be fetched: " + strings.Join(missing, ", ")
	if conn, err := new(net.Dialer).DialContext(ctx, "udp", "192.0.2.1:9"); err != nil {
		s.OK, s.Detail, s.Mend = false, "there is no network, and missing are "+strings.Join(missing, ", "), "connect once"
	} else {
		_ = conn.Close()
	}
	return s
}
