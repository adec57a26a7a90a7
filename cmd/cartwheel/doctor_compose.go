package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// needCompose is the first version, 2.20, that understands the whole of our file.
const needCompose = 20

// composition is what the doctor reads of docker compose's own view of the files,
// in which every variable is replaced.
type composition struct {
	Services map[string]struct {
		Image string
		Build any
		Ports []struct {
			HostIP    string `json:"host_ip"`
			Published string
		}
		Deploy struct {
			Resources struct{ Limits struct{ Memory string } }
		}
	}
	Volumes map[string]struct{ Name string }
}

// composeSymptoms looks at what docker compose needs to bring the shop up from
// the working directory.
func composeSymptoms(ctx context.Context) ([]symptom, error) {
	if _, err := os.Stat("docker-compose.yml"); err != nil {
		return nil, errors.New("there is no docker-compose.yml here: run this in the root of the repository")
	}
	engine := dockerEngine(ctx)
	files, c := composeFiles(ctx)
	all := []symptom{engine, composeVersion(ctx), files}
	if !engine.OK || !files.OK {
		return all, nil
	}
	return append(all, engineMemory(ctx, c), composePorts(ctx, c), postgresVolume(ctx, c), images(ctx, c)), nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, lines[len(lines)-1])
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

// composeFiles has compose read its files. It says what is wrong in compose's own
// words, after the setting whose value they speak of.
func composeFiles(ctx context.Context) (symptom, composition) {
	s := symptom{Name: "file", OK: true, Detail: "docker-compose.yml and .env fit together", Mend: "mend .env, or take the one of the repository: git checkout .env"}
	var c composition
	out, err := docker(ctx, "compose", "config", "--format", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &c)
	}
	if err != nil {
		s.OK, s.Detail = false, err.Error()
		for name, value := range settings(".env") {
			if strings.HasSuffix(s.Detail, ": "+value) {
				s.Detail = fmt.Sprintf("%s=%s: %s", name, value, s.Detail)
				break
			}
		}
	}
	return s, c
}

// settings reads a .env file as compose does: the environment comes first.
func settings(file string) map[string]string {
	raw, _ := os.ReadFile(file) // compose has said that it cannot be read
	out := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if v, set := os.LookupEnv(name); set {
			value = v
		}
		out[name] = value
	}
	return out
}

// engineMemory compares what the engine has with what the containers may take.
func engineMemory(ctx context.Context, c composition) symptom {
	s := symptom{Name: "memory", Mend: "give Docker more memory (Docker Desktop: Settings, Resources)"}
	need := int64(0)
	for name, service := range c.Services {
		n, err := strconv.ParseInt(service.Deploy.Resources.Limits.Memory, 10, 64)
		if err != nil {
			s.Detail = fmt.Sprintf("%s has no limit in docker-compose.yml: %v", name, err)
			return s
		}
		need += n
	}
	out, err := docker(ctx, "info", "--format", "{{.MemTotal}}")
	total, parsed := strconv.ParseInt(out, 10, 64)
	if err = errors.Join(err, parsed); err != nil {
		s.Detail = err.Error()
		return s
	}
	s.OK, s.Detail = total >= need, fmt.Sprintf("the engine has %d MiB, the containers may take %d", total>>20, need>>20)
	return s
}

// composePorts looks whether the published ports are free, or ours already.
func composePorts(ctx context.Context, c composition) symptom {
	s := symptom{Name: "ports", OK: true}
	var ports, taken []string
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		for _, p := range c.Services[name].Ports {
			ports = append(ports, p.Published)
			ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(p.HostIP, p.Published))
			if err == nil {
				_ = ln.Close()
				continue
			}
			if up, _ := docker(ctx, "compose", "ps", "-q", name); up == "" { // nor when it cannot be asked
				taken = append(taken, fmt.Sprintf("%s (%s)", p.Published, name))
			}
		}
	}
	if len(taken) > 0 {
		s.OK, s.Detail = false, "taken by another program: "+strings.Join(taken, ", ")
		s.Mend = "stop it, or set another port in .env"
		return s
	}
	s.Detail = strings.Join(ports, ", ") + " are free, or the shop's already"
	return s
}

// postgresVolume finds a volume that another major version of Postgres wrote: no
// other starts on it.
func postgresVolume(ctx context.Context, c composition) symptom {
	s := symptom{Name: "volumes", OK: true, Detail: "none yet", Mend: "take a dump with the version that wrote it and restore it into a new volume, see docs/operations.md, or begin anew: docker compose down -v"}
	volume, image := c.Volumes["postgres"].Name, c.Services["postgres"].Image
	if _, err := docker(ctx, "volume", "inspect", volume); err != nil {
		return s
	}
	inVolume := []string{"run", "--rm", "--pull", "never", "--network", "none", "-v", volume + ":/volume:ro", "--entrypoint"}
	reads, err := docker(ctx, append(inVolume, "postgres", image, "--version")...)
	if err != nil {
		s.Detail = volume + " is there, and cannot be looked at before " + image + " is"
		return s
	}
	wrote, err := docker(ctx, append(inVolume, "cat", image, "/volume/PG_VERSION")...)
	if err != nil {
		s.Detail = volume + " is there, and empty"
		return s
	}
	reads, _, _ = strings.Cut(strings.TrimPrefix(reads, "postgres (PostgreSQL) "), ".")
	s.OK = wrote == reads
	s.Detail = fmt.Sprintf("%s was written by Postgres %s, and %s reads %s", volume, wrote, image, reads)
	return s
}

// fetchWithin is how long a registry may take to say that it has an image.
const fetchWithin = 15 * time.Second

// images says which images are not here yet: they have to be fetched or built, and
// that needs a network.
func images(ctx context.Context, c composition) symptom {
	s := symptom{Name: "images", OK: true, Detail: "all are here", Mend: "connect to the network once, or bring them from another machine: docker save, docker load"}
	out, err := docker(ctx, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
	if err != nil {
		s.OK, s.Detail = false, err.Error()
		return s
	}
	here := strings.Fields(out)
	var fetch, build []string
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		service := c.Services[name]
		switch {
		case slices.Contains(here, service.Image) || slices.Contains(fetch, service.Image) || strings.HasSuffix(name, "-setup"):
		case service.Build != nil:
			build = append(build, service.Image)
		default:
			fetch = append(fetch, service.Image)
		}
	}
	if len(build) > 0 {
		s.Detail = "to be built: " + strings.Join(build, ", ")
	}
	if len(fetch) > 0 {
		s.Detail = "to be fetched: " + strings.Join(fetch, ", ")
		ctx, cancel := context.WithTimeout(ctx, fetchWithin)
		defer cancel()
		if _, err := docker(ctx, "manifest", "inspect", fetch[0]); err != nil {
			s.OK, s.Detail = false, fmt.Sprintf("missing, and cannot be fetched: %s (%v)", strings.Join(fetch, ", "), err)
		}
	}
	return s
}
