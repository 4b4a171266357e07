#!/bin/bash
# What cluster/gcp.yaml needs in the Google Cloud project of `gcloud config get project`; safe to run again.
# It makes a network whose machines have no addresses of their own and get out through NAT, with two inbound rules: from the
# machines themselves, and SSH from Google's Identity-Aware Proxy, which lets in only who may use the project. It makes one
# service account for the head and one for workers, with the least rights that will do, and the bucket for --out. At the end
# it writes cluster/gcp.yaml with the project's name in it: gcp-project.sh [FILE], ~/.raycalib/gcp.yaml by itself.
# NAT costs by the hour while the network exists; gcp-project.sh --remove ends all but the bucket.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
project=$(gcloud config get project)
region=${REGION:-us-central1}
bucket=gs://raycalib-$project
head=raycalib-head@$project.iam.gserviceaccount.com
worker=raycalib-worker@$project.iam.gserviceaccount.com

missing() { ! "$@" --format=none >/dev/null 2>&1; }

account() {  # makes the service account $1
    if missing gcloud iam service-accounts describe "$1@$project.iam.gserviceaccount.com"; then
        gcloud iam service-accounts create "$1"
    fi
}

network() {
    if missing gcloud compute networks describe raycalib; then
        gcloud compute networks create raycalib --subnet-mode=custom
    fi
    if missing gcloud compute networks subnets describe raycalib --region="$region"; then
        gcloud compute networks subnets create raycalib --network=raycalib --region="$region" --range=10.77.0.0/20 \
            --enable-private-ip-google-access
    fi
    if missing gcloud compute routers describe raycalib --region="$region"; then
        gcloud compute routers create raycalib --network=raycalib --region="$region"
    fi
    if missing gcloud compute routers nats describe raycalib --router=raycalib --region="$region"; then
        gcloud compute routers nats create raycalib --router=raycalib --region="$region" --auto-allocate-nat-external-ips \
            --nat-all-subnet-ip-ranges
    fi
    if missing gcloud compute firewall-rules describe raycalib-among-themselves; then
        gcloud compute firewall-rules create raycalib-among-themselves --network=raycalib --allow=tcp,udp,icmp \
            --source-ranges=10.77.0.0/20
    fi
    if missing gcloud compute firewall-rules describe raycalib-ssh-by-proxy; then
        gcloud compute firewall-rules create raycalib-ssh-by-proxy --network=raycalib --allow=tcp:22 \
            --source-ranges=35.235.240.0/20
    fi
}

may() {  # in the project, the account $1 gets the role $2
    gcloud projects add-iam-policy-binding "$project" --member="serviceAccount:$1" --role="$2" --condition=None >/dev/null
}

rights() {
    may "$head" roles/compute.instanceAdmin.v1
    gcloud iam service-accounts add-iam-policy-binding "$worker" --member="serviceAccount:$head" \
        --role=roles/iam.serviceAccountUser >/dev/null
    for each in "$head" "$worker"; do
        gcloud storage buckets add-iam-policy-binding "$bucket" --member="serviceAccount:$each" \
            --role=roles/storage.objectUser >/dev/null
    done
    for each in "$head HF_TOKEN" "$worker HF_TOKEN" "$head OPENAI_API_KEY"; do
        read -r member name <<<"$each"
        if missing gcloud secrets describe "raycalib-$name"; then
            gcloud secrets create "raycalib-$name" --replication-policy=automatic
        fi
        gcloud secrets add-iam-policy-binding "raycalib-$name" --member="serviceAccount:$member" \
            --role=roles/secretmanager.secretAccessor >/dev/null
    done
}

remove() {
    gcloud compute firewall-rules delete raycalib-among-themselves raycalib-ssh-by-proxy --quiet
    gcloud compute routers delete raycalib --region="$region" --quiet
    gcloud compute networks subnets delete raycalib --region="$region" --quiet
    gcloud compute networks delete raycalib --quiet
    gcloud iam service-accounts delete "$head" --quiet
    gcloud iam service-accounts delete "$worker" --quiet
    gcloud secrets delete raycalib-HF_TOKEN --quiet
    gcloud secrets delete raycalib-OPENAI_API_KEY --quiet
}

if [ "${1:-}" = --remove ]; then
    remove
    exit
fi
file=${1:-$HOME/.raycalib/gcp.yaml}
gcloud services enable compute.googleapis.com iam.googleapis.com iap.googleapis.com secretmanager.googleapis.com \
    cloudresourcemanager.googleapis.com
network
account raycalib-head
account raycalib-worker
if missing gcloud storage buckets describe "$bucket"; then
    gcloud storage buckets create "$bucket" --location="$region" --uniform-bucket-level-access --public-access-prevention
fi
rights
mkdir -p "$(dirname "$file")"
sed "s/PROJECT_ID/$project/g" "$here/gcp.yaml" >"$file"
echo "$file is ready; --out is $bucket/…"
