#!/usr/bin/env bash
# The bucket and the two roles that cluster.yaml names: deploy/aws/prepare.sh BUCKET [REGION]. Run once, by someone who
# may create roles. The head may start and end machines of this cluster and use the bucket; a worker may only read and
# write checkpoints: it has no access to the record.
set -euo pipefail
cd "$(dirname "$0")"
bucket=$1 region=${2:-us-east-1}

location=()
[ "$region" = us-east-1 ] || location=(--create-bucket-configuration "LocationConstraint=$region")
aws s3api create-bucket --bucket "$bucket" --region "$region" "${location[@]}"
aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
  BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true

trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
for role in head worker; do
  aws iam create-role --role-name "hail-study-$role" --assume-role-policy-document "$trust"
  aws iam put-role-policy --role-name "hail-study-$role" --policy-name study \
    --policy-document "$(sed "s/BUCKET/$bucket/g" "$role.json")"
  aws iam create-instance-profile --instance-profile-name "hail-study-$role"
  aws iam add-role-to-instance-profile --instance-profile-name "hail-study-$role" --role-name "hail-study-$role"
done
