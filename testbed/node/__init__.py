"""A real node for the testbed's control plane: kubelet, containerd, kube-proxy, scheduler, CoreDNS, and an edge.

Linux and root only. Everything runs in namespaces of its own (``sandbox.py``), so that nothing of it is left when it
ends, however it ends.
"""
