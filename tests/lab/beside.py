# SPDX-License-Identifier: BSD-2-Clause
"""Programs that think a host's network is theirs, as Debian ships them (others.sh), on a host of the lab.

They see their own files over the host's /usr, /etc and /var, which only this host's mounts have.
"""
import subprocess

from lab import HERE, wait_for

BUS = "unix:path=/run/dbus/system_bus_socket"
ENVIRONMENT = {"DBUS_SYSTEM_BUS_ADDRESS": BUS}
OVER = """
mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr
mkdir -p /run/etc/upper /run/etc/work /run/var /run/dbus
mount -t overlay overlay -o lowerdir={root}/etc:/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
mount --bind /run/var /var
mkdir -p /var/lib/ufw /var/log /var/tmp
ln -s /run /var/run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""


def unpack(host):
    """Makes the programs visible on this host."""
    done = subprocess.run([HERE / "others.sh"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"others.sh: {done.stderr}")
    host.run(["bash", "-ec", OVER.format(root=f"{done.stdout.strip()}/root")])


def docker(host):
    """Its bridge, its chains, FORWARD dropped, forwarding on."""
    daemon = host.popen("dockerd", ["dockerd", "--data-root", "/run/docker-data", "--storage-driver", "vfs",
                                    "--pidfile", "/run/docker.pid"])
    wait_for("dockerd", lambda: "API listen on" in daemon.output(), seconds=40)
    return daemon


def firewalld(host):
    """Zone public: nothing comes in but SSH."""
    host.popen("dbus", ["dbus-daemon", "--session", "--nofork", "--address", BUS])
    wait_for("dbus", lambda: host.path("/run/dbus/system_bus_socket").exists())
    daemon = host.popen("firewalld", ["firewalld", "--nofork", "--nopid"], ENVIRONMENT)
    wait_for("firewalld", lambda: "running" in host.run(["firewall-cmd", "--state"], check=False,
                                                        quiet=True).stdout, seconds=20)
    return daemon


def ufw(host):
    """Everything that comes in is denied."""
    host.run(["bash", "-c", "cp /usr/share/ufw/ufw.conf /usr/share/ufw/iptables/*.rules /etc/ufw/"])  # else installed
    host.run(["ufw", "--force", "enable"])


def networkd(host):
    """eth0 is its own, with the addresses and routes that it had; foreign routes and rules are removed."""
    addresses = [f"Address={entry['local']}/{entry['prefixlen']}"
                 for entry in host.json("ip -j addr show eth0")[0]["addr_info"] if entry["scope"] == "global"]
    host.run("ip addr flush dev eth0 scope global")
    host.run("mkdir -p /run/systemd/network /run/systemd/netif")
    host.path("/run/systemd/network/eth0.network").write_text("\n".join((
        "[Match]", "Name=eth0", "[Network]", *addresses, "Gateway=198.51.100.254", "Gateway=2001:db8:1::fe",
        "IPv6AcceptRA=no", "")))
    host.run("mount -o remount,bind,ro /sys")      # else it waits for udev
    # made by its package, where that is installed
    host.run(["bash", "-c", "getent passwd systemd-network > /dev/null || useradd --system systemd-network"])
    daemon = host.popen("networkd", ["/lib/systemd/systemd-networkd"])
    wait_for("networkd", lambda: "default" in host.out("ip -4 route", quiet=True)
             and "default" in host.out("ip -6 route", quiet=True), seconds=20)
    return daemon
