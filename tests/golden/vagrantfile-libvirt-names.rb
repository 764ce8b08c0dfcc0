# frozen_string_literal: true
#
# Written by `kubelab render` from lab.yaml: change that file, not this one.
# `vagrant up` in this folder makes the same VMs without kubelab.

require "base64"
require "fileutils"

KEY = File.join(__dir__, '.kubelab/lab/id_ed25519')
KEY_LOCK = Mutex.new

# The key of this lab alone; made here when kubelab has not made it yet.
unless File.exist?(KEY)
  FileUtils.mkdir_p(File.dirname(KEY), mode: 0o700)
  system("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", 'lab', "-f", KEY) or abort "ssh-keygen failed"
end
PUBLIC_KEY = File.read("#{KEY}.pub").strip

NODES = [
  { name: 'lab-cp1', hostname: 'm-k8s', ip: '192.168.60.11', mac: '52:54:00:b1:8a:c4', cpus: 2, memory: 3072, disk: 12 },
  { name: 'lab-w1', hostname: 'w1-k8s', ip: '192.168.60.21', mac: '52:54:00:29:22:3b', cpus: 2, memory: 2048, disk: 12 },
  { name: 'lab-w2', ip: '192.168.60.22', mac: '52:54:00:79:96:ca', cpus: 2, memory: 2048, disk: 12 },
].freeze

Vagrant.configure("2") do |config|
  config.vm.box = 'kubelab-1.36.3-0123456789ab'
  config.vm.box_version = '1.0.0'
  config.vm.box_url = 'file:///cache/boxes/0123/box.json'
  config.vm.box_check_update = false
  config.vm.boot_timeout = 120
  config.vm.guest = :debian
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.username = "vagrant"
  config.ssh.private_key_path = KEY
  config.ssh.insert_key = false

  # A network of the lab's own, in which every node has its address by its MAC. `kubelab destroy` removes it: Vagrant
  # would with the first VM that goes, once libvirt has lost count of those on it, as after a restore.
  network_xml = <<~'NETWORK'
    <network>
      <name>kubelab-lab</name>
      <forward mode="nat"/>
      <mtu size="1500"/>
      <bridge name="kla51146d3" stp="off" delay="0"/>
      <ip address="192.168.60.1" netmask="255.255.255.0">
        <dhcp>
          <host mac="52:54:00:b1:8a:c4" name="m-k8s" ip="192.168.60.11"/>
          <host mac="52:54:00:29:22:3b" name="w1-k8s" ip="192.168.60.21"/>
          <host mac="52:54:00:79:96:ca" name="lab-w2" ip="192.168.60.22"/>
        </dhcp>
      </ip>
    </network>

  NETWORK
  virsh = ["virsh", "--quiet", "--connect", "qemu:///system"]
  quiet = { out: File::NULL, err: File::NULL }
  config.trigger.before :up do |trigger|
    trigger.ruby do |_env, _machine|
      KEY_LOCK.synchronize do
        next if IO.popen([*virsh, "net-list", "--name"], &:read).split.include?('kubelab-lab')
        IO.popen([*virsh, "net-define", "/dev/stdin"], "w", **quiet) { |pipe| pipe.write(network_xml) }
        system(*virsh, "net-start", 'kubelab-lab', **quiet)
      end
    end
  end

  NODES.each do |node|
    config.vm.define node[:name] do |machine|
      machine.vm.provider :libvirt do |libvirt|
        libvirt.uri = "qemu:///system"
        libvirt.driver = 'kvm'
        libvirt.cpu_mode = 'host-passthrough'
        libvirt.default_prefix = ""
        libvirt.cpus = node[:cpus]
        # One socket: with several, the guest distrusts its TSC and reads time by a trap into the hypervisor.
        libvirt.cputopology sockets: "1", cores: node[:cpus].to_s, threads: "1"
        libvirt.memory = node[:memory]
        libvirt.machine_virtual_size = node[:disk] if node[:disk] > 12
        libvirt.disk_bus = "virtio"
        libvirt.disk_driver cache: "unsafe", discard: "unmap"
        libvirt.graphics_type = "none"
        libvirt.video_type = "none"
        libvirt.random model: "random"
        libvirt.qemu_use_session = false
        libvirt.management_network_name = 'kubelab-lab'
        libvirt.management_network_address = '192.168.60.0/24'
        libvirt.management_network_keep = true
        libvirt.management_network_mac = node[:mac]
        hostname = node.fetch(:hostname, node[:name])
        # The guest's systemd reads these at boot: its name, and the one key that may log in.
        files = <<~FILES
          f+ /etc/hostname 0644 root root - #{hostname}
          d /home/vagrant/.ssh 0700 vagrant vagrant -
          f+ /home/vagrant/.ssh/authorized_keys 0600 vagrant vagrant - #{PUBLIC_KEY}
        FILES
        libvirt.sysinfo = {
          "oem strings": [
            "io.systemd.credential:system.hostname=#{hostname}",
            "io.systemd.credential.binary:tmpfiles.extra=#{Base64.strict_encode64(files)}",
          ],
        }
      end
    end
  end
end
