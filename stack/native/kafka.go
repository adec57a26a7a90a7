package native

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
)

//go:embed pom.xml
var pom []byte

// KafkaVersion is the release that pom.xml names.
const KafkaVersion = "4.4.0"

// Kafka starts one node that is broker and controller, with its data in dir. say
// is told what takes long. Further lines of its server.properties win over ours.
func Kafka(ctx context.Context, cacheDir, dir string, port, controllerPort int, log *slog.Logger, say func(string), lines ...string) (*Server, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, errors.New("there is no java on PATH: install Debian's package openjdk-17-jre-headless, or set KAFKA_BROKERS")
	}
	libs, err := kafkaLibs(ctx, cacheDir, say)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("resolve Kafka's directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make Kafka's directory: %w", err)
	}
	config := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(config, []byte(kafkaProperties(dir, port, controllerPort, lines)), 0o644); err != nil {
		return nil, fmt.Errorf("write Kafka's configuration: %w", err)
	}
	run := func(ctx context.Context, class string, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, java, append([]string{
			"-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
			"-cp", filepath.Join(libs, "*"), class,
		}, args...)...)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); err != nil {
		format := run(ctx, "kafka.tools.StorageTool", "format", "-t", clusterID(), "-c", config)
		if out, err := format.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("format Kafka's directory: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	addr := net.JoinHostPort(loopback, strconv.Itoa(port))
	return start(ctx, program{
		name: "kafka", dir: dir, addr: addr, end: syscall.SIGTERM,
		cmd:   func() *exec.Cmd { return run(context.WithoutCancel(ctx), "kafka.Kafka", config) },
		ready: func(ctx context.Context) error { return metadata(ctx, addr) },
	}, log)
}

// clusterID is a random UUID as Kafka writes one.
func clusterID() string {
	var id [16]byte
	rand.Read(id[:])
	id[0] &= 0x7f // the first character is no dash, which would begin an option
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// kafkaProperties is the configuration of a single node that is up again soon
// after a kill.
func kafkaProperties(dir string, port, controllerPort int, more []string) string {
	client := net.JoinHostPort(loopback, strconv.Itoa(port))
	controller := net.JoinHostPort(loopback, strconv.Itoa(controllerPort))
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + client + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + client,
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=8",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"broker.session.timeout.ms=3000", // a broker that was killed waits for the end of its old session
		"broker.heartbeat.interval.ms=500",
	}
	return strings.Join(append(lines, more...), "\n") + "\n"
}

// metadata asks the broker for its cluster.
func metadata(ctx context.Context, addr string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(time.Second), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Ping(ctx)
}

// kafkaLibs returns the directory of Kafka's jars, which it fetches when the cache
// has none.
func kafkaLibs(ctx context.Context, cacheDir string, say func(string)) (string, error) {
	libs := filepath.Join(cacheDir, "kafka-"+KafkaVersion)
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache for Kafka: %w", err)
	}
	lock, err := filelock.Wait(ctx, libs+".lock", func() { say("another process fetches Kafka") })
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }() // the next one finds it free
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return "", errors.New("there is no mvn on PATH to fetch Kafka with: install Debian's package maven, or set KAFKA_BROKERS")
	}
	say("fetching Apache Kafka " + KafkaVersion + " from Maven, 43 MB")
	work, err := os.MkdirTemp(cacheDir, "kafka-fetch")
	if err != nil {
		return "", fmt.Errorf("make a directory to fetch Kafka into: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return "", fmt.Errorf("write Kafka's pom.xml: %w", err)
	}
	cmd := exec.CommandContext(ctx, maven, "-B", "-q", "-f", filepath.Join(work, "pom.xml"),
		"org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
		"-DoutputDirectory="+filepath.Join(work, "libs"), "-DincludeScope=runtime")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch Kafka: %w: %s", err, strings.TrimSpace(string(out)))
	}
	// Renamed, so that it is there whole or not at all.
	if err := os.Rename(filepath.Join(work, "libs"), libs); err != nil {
		return "", fmt.Errorf("keep Kafka: %w", err)
	}
	return libs, nil
}
