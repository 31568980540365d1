/// Columns of the predecessor that stay in the .proto and the tables so that their consumers go on working, and that xtcpd leaves unset.
@inline(__always)
func describeUnfilled<V: RecordVisitor>(_ v: inout V) {
  guard v.begin(.unfilled) else { return }
  v.field(
    "nsid", 32, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: an nsid is relative to the namespace that asks; netns_cookie names a namespace for all.")
  v.field(
    "container_id", 40, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: the namespace's name and the cgroup's number identify a container; no container runtime is asked.")
  v.field(
    "container_runtime", 41, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: the namespace's name and the cgroup's number identify a container; no container runtime is asked.")
  v.field(
    "container_name", 42, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: the namespace's name and the cgroup's number identify a container; no container runtime is asked.")
  v.field(
    "container_image", 43, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: the namespace's name and the cgroup's number identify a container; no container runtime is asked.")
  v.field(
    "socket_fd", 61, .unfilledUInt64, at: 0, .none, kernel: "",
    "Not filled: the descriptor of the reading socket means nothing outside the process.")
  v.field(
    "netlinker_id", 62, .unfilledUInt64, at: 0, .none, kernel: "",
    "Not filled: there is one reader for each pipeline, and no number for it.")
  v.field(
    "uplink1_ifname", 100, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_driver", 101, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_model", 102, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_pci_vendor", 103, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_pci_device", 104, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_bus_info", 105, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_speed_mbps", 106, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_nic_fw_version", 107, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_lldp_chassis_name", 120, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_lldp_chassis_id", 121, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_lldp_mgmt_ip", 122, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_lldp_port_id", 123, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink1_lldp_port_descr", 124, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_ifname", 200, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_driver", 201, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_model", 202, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_pci_vendor", 203, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_pci_device", 204, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_bus_info", 205, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_speed_mbps", 206, .unfilledUInt32, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_nic_fw_version", 207, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_lldp_chassis_name", 220, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_lldp_chassis_id", 221, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_lldp_mgmt_ip", 222, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_lldp_port_id", 223, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "uplink2_lldp_port_descr", 224, .unfilledString, at: 0, .none, kernel: "",
    "Not filled: what carries the traffic of a host is not the socket's to say; join with an inventory by hostname.")
  v.field(
    "inet_diag_msg_socket_dest_asn", 1011, .unfilledUInt64, at: 0, .none, kernel: "",
    "Not filled: routing data is not the kernel's socket data; join by address.")
  v.field(
    "inet_diag_msg_socket_next_hop_asn", 1012, .unfilledUInt64, at: 0, .none, kernel: "",
    "Not filled: routing data is not the kernel's socket data; join by address.")
}
