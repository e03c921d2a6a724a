package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	health_pb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// nameHeader says in the answer which server it is from.
const nameHeader = "echo-name"

// calls serves gRPC's own service grpc.health.v1.Health, whose Watch is a stream without end.
func (s *server) calls() *grpc.Server {
	g := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			_ = grpc.SetHeader(ctx, metadata.Pairs(nameHeader, s.name))
			return next(ctx, request)
		}),
	)
	health_pb.RegisterHealthServer(g, health.NewServer())
	return g
}

// call makes calls of grpc.health.v1.Health to a host:port by TLS and prints the server's name for each: one Check, and
// if hold is more than 0 a Watch that must stay open for that long.
func (c *client) call(ctx context.Context, address string, hold time.Duration) error {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(c.tls)),
		grpc.WithAuthority(c.tls.ServerName),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}),
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	service := health_pb.NewHealthClient(conn)
	var header metadata.MD
	answer, err := service.Check(ctx, &health_pb.HealthCheckRequest{}, grpc.Header(&header))
	if err != nil {
		return fmt.Errorf("%s: Check: %w", address, err)
	}
	fmt.Println(header.Get(nameHeader), answer.GetStatus())
	if hold == 0 {
		return nil
	}
	stream, err := service.Watch(ctx, &health_pb.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("%s: Watch: %w", address, err)
	}
	if _, err = stream.Recv(); err != nil {
		return fmt.Errorf("%s: Watch: %w", address, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		ended <- err
	}()
	select {
	case err = <-ended:
		return fmt.Errorf("%s: Watch ended early: %w", address, err)
	case <-time.After(hold):
		fmt.Println("held", hold)
		return nil
	}
}

// http2 lets TLS that ends here negotiate HTTP/2, which gRPC needs.
func http2(config *tls.Config) { config.NextProtos = []string{"h2"} }
