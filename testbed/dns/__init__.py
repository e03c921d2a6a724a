"""Real DNS services on loopback: BIND, Knot, PowerDNS, CoreDNS with etcd, Route 53 as moto and as a strict model."""
