"""The control plane: Kubernetes and Istio objects to xDS resources, and the server that hands them out.

    mesh.registry.Registry(bundle, endpoints: tuple[Endpoint, ...], *, mutual_tls=False)
    mesh.identity.Authority().identity(namespace, service_account) -> Identity
    mesh.caller.Caller(namespace, locality, labels, node)     whose resources they are
    mesh.outbound.outbound(registry, listen, *, namespace="default", caller=None) -> Resources
    mesh.inbound.inbound(registry, pod: Endpoint, app_address, *, other_ports=()) -> Resources
    mesh.virtual_outbound.virtual_outbound(registry, cluster_ip, *, own_address="", caller=None)
    mesh.virtual_inbound.virtual_inbound(registry, pod: Endpoint, *, mark=0)
        the same for pods whose connections are redirected to ports 15001 and 15006
    mesh.proxyless.proxyless(registry, *, namespace="default", caller=None) -> Resources
    mesh.proxyless.remarks(registry) -> tuple[Note, ...]     what proxyless clients can't do
    mesh.kube_proxy.kube_proxy(registry, listen) -> Resources
        listen: Callable[[Service, ServicePort], tuple[address, port]]
    mesh.ads.AdsServer: await start("127.0.0.1" or "unix:PATH") -> address; set(node_id, Resources);
        nacks; await acked(node_id, timeout_s); await stop()
    mesh.bootstrap.envoy_bootstrap(node_id, ads_address, admin_address, *, identity=None, mark=0) -> dict
    mesh.bootstrap.proxyless_bootstrap(node_id, ads_address) -> str

Translation makes plain JSON values; the xDS types (extra `lab`) are imported when a server first sends.
"""
