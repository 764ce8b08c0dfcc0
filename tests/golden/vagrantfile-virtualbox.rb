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
  { name: 'lab-cp1', ip: '192.168.60.11', mac: '52:54:00:b1:8a:c4', cpus: 2, memory: 3072, disk: 12 },
  { name: 'lab-w1', ip: '192.168.60.21', mac: '52:54:00:29:22:3b', cpus: 2, memory: 2048, disk: 12 },
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

  # A box for VirtualBox opens to the key that everyone has. The lab's own key takes its place before `vagrant up` ends,
  # and until then the machine's cable to the lab's network is unplugged: only Vagrant reaches it.
  config.trigger.after :up, :reload do |trigger|
    trigger.ruby do |_env, machine|
      system("VBoxManage", "controlvm", machine.id, "setlinkstate2", "on") or abort "#{machine.name} stays unplugged"
    end
  end
  vagrant_home = ENV.fetch("VAGRANT_HOME") { File.join(Dir.home, ".vagrant.d") }
  config.ssh.private_key_path = [KEY, File.join(vagrant_home, "insecure_private_key")]

  NODES.each do |node|
    config.vm.define node[:name] do |machine|
      machine.vm.hostname = node.fetch(:hostname, node[:name])
      machine.vm.network "private_network", ip: node[:ip], netmask: '255.255.255.0', mac: node[:mac].delete(":")
      machine.vm.provider :virtualbox do |vb|
        vb.name = node[:name]
        vb.cpus = node[:cpus]
        vb.memory = node[:memory]
        vb.linked_clone = true
        vb.gui = false
        vb.check_guest_additions = false
        vb.functional_vboxsf = false
        vb.default_nic_type = "virtio"
        vb.customize ["modifyvm", :id, "--audio-enabled", "off"]
        vb.customize ["modifyvm", :id, "--cable-connected2", "off"]
        # Before its group, by which kubelab finds it: whose it is.
        vb.customize ["modifyvm", :id, "--description", "Source: #{File.join(__dir__, "Vagrantfile")}"]
        vb.customize ["modifyvm", :id, "--groups", '/kubelab-lab']
        # The firmware shows the machine's id, by which kubelab knows who answers: VirtualBox alone may swap its bytes.
        vb.customize ["setextradata", :id, "VBoxInternal/Devices/pcbios/0/Config/DmiSystemUuid", :id]
      end
      machine.vm.provision "shell", name: "the lab's key", run: "always", privileged: false, args: [PUBLIC_KEY], inline: <<~'SHELL'
        set -eu
        umask 077
        mkdir -p ~/.ssh
        printf '%s\n' "$1" > ~/.ssh/authorized_keys
      SHELL
    end
  end
end
