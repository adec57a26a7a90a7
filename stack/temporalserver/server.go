package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

// clusterName is stored in the database: it must never change.
const clusterName = "active"

func (o options) address(port int) string { return net.JoinHostPort(o.ip, strconv.Itoa(port)) }

func newServer(o options) (temporal.Server, error) {
	if err := createDatabase(o.dbFile, o.namespace); err != nil {
		return nil, err
	}
	ports, err := freePorts(o.ip, 3, o.port, o.uiPort)
	if err != nil {
		return nil, err
	}
	servicePorts := map[primitives.ServiceName]int{
		primitives.FrontendService: o.port,
		primitives.HistoryService:  ports[0],
		primitives.MatchingService: ports[1],
		primitives.WorkerService:   ports[2],
	}
	cfg := serverConfig(o, servicePorts)
	// One process has no members to find. Static hosts spare the gossip ring,
	// which after a crash waits for its dead former self.
	hosts := make(map[primitives.ServiceName]static.Hosts, len(servicePorts))
	for name, port := range servicePorts {
		hosts[name] = static.SingleLocalHost(o.address(port))
	}
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: o.logLevel.String(), Format: "console"}))
	srv, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithDynamicConfigClient(o.dynamic),
	)
	if err != nil {
		return nil, fmt.Errorf("assemble the server: %w", err)
	}
	return srv, nil
}

func serverConfig(o options, ports map[primitives.ServiceName]int) *config.Config {
	services := make(map[string]config.Service, len(ports))
	for name, port := range ports {
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: o.ip}}
	}
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: o.ip},
		},
		Persistence: config.Persistence{
			DefaultStore:     sqliteplugin.PluginName,
			VisibilityStore:  sqliteplugin.PluginName,
			NumHistoryShards: 1, // stored in the database: it must never change
			DataStores:       map[string]config.DataStore{sqliteplugin.PluginName: {SQL: sqlConfig(o.dbFile, o.pragmas)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: o.address(o.port)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		PublicClient: config.PublicClient{HostPort: o.address(o.port)},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
	}
}

func sqlConfig(file string, pragmas map[string]string) *config.SQL {
	attributes := map[string]string{"mode": "rwc"}
	for k, v := range pragmas {
		attributes[k] = v
	}
	return &config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: file, ConnectAttributes: attributes}
}

// createDatabase makes the database file with its schema and namespace. It
// works on a file of another name and renames it at the end: a process killed
// half way leaves nothing that the next start would take for a database.
func createDatabase(file, namespace string) error {
	_, err := os.Stat(file)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return fmt.Errorf("look for the database: %w", err)
	}
	target := file
	if isNew {
		target = file + ".new"
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a half-made database: %w", err)
		}
		if err := sqlite.SetupSchema(sqlConfig(target, nil)); err != nil {
			return fmt.Errorf("create the schema in %s: %w", target, err)
		}
	}
	ns, err := sqlite.NewNamespaceConfig(clusterName, namespace, false, nil)
	if err != nil {
		return fmt.Errorf("configure namespace %q: %w", namespace, err)
	}
	if err := sqlite.CreateNamespaces(sqlConfig(target, nil), ns); err != nil {
		return fmt.Errorf("create namespace %q: %w", namespace, err)
	}
	if !isNew {
		return nil
	}
	if err := os.Rename(target, file); err != nil {
		return fmt.Errorf("publish the new database: %w", err)
	}
	return nil
}

// freePorts finds ports for the services that only this process talks to, other
// than those that it is about to open.
func freePorts(ip string, n int, not ...int) ([]int, error) {
	ports := make([]int, 0, n)
	for len(ports) < n {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port on %s: %w", ip, err)
		}
		defer l.Close() // held to the end, so that all differ
		if port := l.Addr().(*net.TCPAddr).Port; !slices.Contains(not, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
