#!/bin/bash
# First boot of a Vault node. constructs/vault_nodes.py fills in the names between at-signs; none of them is a secret.
set -euo pipefail
exec > >(systemd-cat -t vault-node) 2>&1
export AWS_DEFAULT_REGION=@REGION@

imds() {
  local token
  token=$(curl -sSf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
  curl -sSf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
INSTANCE=$(imds instance-id)
ADDRESS=$(imds local-ipv4)
signal() {
  aws cloudformation signal-resource --stack-name @STACK@ --logical-resource-id @RESOURCE@ --unique-id "$INSTANCE" --status "$1"
}
trap 'signal FAILURE' ERR

# The package of HashiCorp, from the account's own registry (there is no way to the internet), signed by the key that is
# known here; everything else comes with the image's own release.
dnf install -y -q jq amazon-cloudwatch-agent
cd /root
manifest=$(aws ecr batch-get-image --repository-name @PACKAGES@ --image-ids imageTag=@VERSION@ \
  --accepted-media-types application/vnd.oci.image.manifest.v1+json --query 'images[0].imageManifest' --output text)
jq -re '.layers[] | [.digest, .annotations["org.opencontainers.image.title"]] | @tsv' <<< "$manifest" |
  while read -r digest file; do
    [[ $file == vault.rpm || $file == hashicorp.asc ]]  # whoever writes the registry is not to say where files go
    curl -sSf -o "$file" "$(aws ecr get-download-url-for-layer --repository-name @PACKAGES@ --layer-digest "$digest" \
      --query downloadUrl --output text)"
    sha256sum --check --quiet <<< "${digest#sha256:}  $file"
  done
found=$(gpg --batch --show-keys --with-colons hashicorp.asc | awk -F: '/^pub/ {p = 1} /^fpr/ && p {print $10; p = 0}')
[ "$found" = 798AEC654E5C15428C8E42EEAA16FCBCA621E701 ]
rpm --import hashicorp.asc
dnf install -y -q --setopt=localpkg_gpgcheck=1 ./vault.rpm

# The audit log has a disk of its own: it may fill up without stopping the other audit device.
blkid /dev/sdb || mkfs.xfs -q -L vault-audit /dev/sdb
mkdir -p /var/log/vault
echo 'LABEL=vault-audit /var/log/vault xfs defaults,nodev,nosuid,noexec 0 2' >> /etc/fstab
mount /var/log/vault
chown vault:vault /var/log/vault
chmod 0750 /var/log/vault

cat > /etc/vault.d/node.env <<END
AWS_DEFAULT_REGION=@REGION@
VAULT_ADDR=https://127.0.0.1:8200
VAULT_TLS_SERVER_NAME=@HOST@
INSTANCE=$INSTANCE
END

# leader_tls_servername counts only beside leader_ca_cert_file. The health checks of the load balancer speak no TLS 1.3,
# so the listener does not insist on it; the load balancer and all clients do. Nobody is locked out of AppRole: five wrong
# secret ids from anywhere would keep a client out for a quarter of an hour. No guess finds one.
cat > /etc/vault.d/vault.hcl <<END
ui            = false
disable_mlock = true
cluster_name  = "@CLUSTER@"
api_addr      = "https://@HOST@:8200"
cluster_addr  = "https://$ADDRESS:8201"

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/etc/vault.d/tls/certificate.pem"
  tls_key_file    = "/etc/vault.d/tls/key.pem"
  tls_min_version = "tls12"
}

user_lockout "approle" {
  disable_lockout = "true"
}

storage "raft" {
  path    = "/opt/vault/data"
  node_id = "$INSTANCE"
  retry_join {
    auto_join             = "provider=aws region=@REGION@ tag_key=@TAG@ tag_value=@CLUSTER@ addr_type=private_v4"
    auto_join_scheme      = "https"
    leader_tls_servername = "@HOST@"
    leader_ca_cert_file   = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
  }
}

seal "awskms" {
  region     = "@REGION@"
  kms_key_id = "@SEAL_KEY@"
}
END

# ACM renews the certificate, and a function brings it to a secret; every node fetches it anew each day.
install -d -o root -g vault -m 0750 /etc/vault.d/tls
cat > /usr/local/sbin/vault-certificate <<'END'
#!/bin/bash
set -euo pipefail
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
aws secretsmanager get-secret-value --secret-id @CERTIFICATE@ --query SecretString --output text > "$work/brought"
jq -rje .passphrase "$work/brought" > "$work/passphrase"
jq -re '.certificate, .chain' "$work/brought" > "$work/certificate.pem"
jq -re .private_key "$work/brought" | openssl pkey -passin "file:$work/passphrase" -out "$work/key.pem"
cmp -s "$work/certificate.pem" /etc/vault.d/tls/certificate.pem && exit 0
install -o root -g vault -m 0640 "$work/certificate.pem" "$work/key.pem" /etc/vault.d/tls/
systemctl try-reload-or-restart vault
END

# A token of Vault's. While it is upgraded it may still ask for the id that the release before this one had.
cat > /usr/local/sbin/vault-token <<'END'
#!/bin/bash
for id in @SERVER_ID@ @FORMER_SERVER_ID@; do
  vault login -token-only -method=aws role=@NODE_ROLE@ region=@REGION@ header_value="$id" && exit 0
done
exit 1
END

# Only the active node takes snapshots; whoever it is.
cat > /usr/local/sbin/vault-snapshot <<'END'
#!/bin/bash
set -euo pipefail
umask 077
curl -sSf --connect-to "::127.0.0.1:" https://@HOST@:8200/v1/sys/leader | jq -e .is_self > /dev/null || exit 0
VAULT_TOKEN=$(/usr/local/sbin/vault-token)
export VAULT_TOKEN
file=$(mktemp)
trap 'rm -f "$file"' EXIT
vault operator raft snapshot save "$file"
aws s3 cp --only-show-errors "$file" "s3://@BUCKET@/snapshots/$(date -u +%Y/%m/%d/%H%M%SZ)-$INSTANCE.snap"
END

# Ready: Vault answers, and either no node of the cluster is initialised yet or all of them are in it and well, this one
# among them and none of those that were replaced.
cat > /usr/local/sbin/vault-ready <<'END'
#!/bin/bash
set -uo pipefail
ask() { curl -sS --max-time 5 --connect-to "::$1:" "https://@HOST@:8200/v1/sys/$2"; }
fellows() {
  aws ec2 describe-instances --output text --query 'Reservations[].Instances[].PrivateIpAddress' \
    --filters "Name=tag:@TAG@,Values=@CLUSTER@" Name=instance-state-name,Values=running
}
for _ in $(seq 100); do
  sleep 10
  ask 127.0.0.1 health | jq -e 'has("initialized")' > /dev/null || continue
  others=$(fellows) || continue
  initialised=no
  for other in $others; do
    [ "$(ask "$other" init | jq -r .initialized)" != true ] || initialised=yes
  done
  [ $initialised = yes ] || exit 0
  token=$(/usr/local/sbin/vault-token) || continue
  curl -sS --connect-to "::127.0.0.1:" -H "X-Vault-Token: $token" \
    https://@HOST@:8200/v1/sys/storage/raft/autopilot/state |
    jq -e --arg id "$INSTANCE" '.data | .healthy and (.servers | length == @NODES@ and has($id))' > /dev/null && exit 0
done
exit 1
END
chmod 0755 /usr/local/sbin/vault-{certificate,token,snapshot,ready}

timer() { # name, when
  printf '[Service]\nType=oneshot\nEnvironmentFile=/etc/vault.d/node.env\nExecStart=/usr/local/sbin/%s\n' "$1" \
    > "/etc/systemd/system/$1.service"
  printf '[Timer]\nOnBootSec=15min\nOnUnitActiveSec=%s\nRandomizedDelaySec=30\n[Install]\nWantedBy=timers.target\n' "$2" \
    > "/etc/systemd/system/$1.timer"
}
timer vault-certificate 1d
timer vault-snapshot @SNAPSHOT_SECONDS@s

cat > /etc/logrotate.d/vault <<'END'
/var/log/vault/audit.log {
  hourly
  size 256M
  rotate 8
  compress
  delaycompress
  missingok
  postrotate
    systemctl reload vault
  endscript
}
END
cat > /opt/aws/amazon-cloudwatch-agent/etc/vault.json <<'END'
{"agent": {"region": "@REGION@"}, "logs": {"logs_collected": {"files": {"collect_list": [
  {"file_path": "/var/log/vault/audit.log", "log_group_name": "@LOG_GROUP@", "log_stream_name": "{instance_id}"}
]}}}}
END

set -a && . /etc/vault.d/node.env && set +a
/usr/local/sbin/vault-certificate
systemctl daemon-reload
systemctl enable --now vault vault-certificate.timer vault-snapshot.timer
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s \
  -c file:/opt/aws/amazon-cloudwatch-agent/etc/vault.json
/usr/local/sbin/vault-ready
signal SUCCESS
