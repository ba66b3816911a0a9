"""An S3 server on loopback (moto), with a folder in it.

usage: s3_server.py FOLDER BUCKET

Prints {"endpoint"} and then answers lines of standard input, each with a line of JSON, until it ends:
`list PREFIX` (the keys, with sizes), `get KEY` (its sha256), `delete KEY`, `drop KEY N` (its last N bytes), `uploads` (how many
multipart uploads were begun and not ended).
"""

import hashlib
import json
import logging
import sys
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer


def main():
    folder, bucket = Path(sys.argv[1]), sys.argv[2]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=endpoint, **keys)
    s3.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.put_object(Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes(), ACL="public-read")
    print(json.dumps({"endpoint": endpoint}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(s3, bucket, line.split())), flush=True)


def answer(s3, bucket, words):
    match words:
        case ["list", *prefix]:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="".join(prefix))
            return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}
        case ["get", key]:
            return hashlib.sha256(body(s3, bucket, key)).hexdigest()
        case ["delete", key]:
            s3.delete_object(Bucket=bucket, Key=key)
        case ["drop", key, count]:
            s3.put_object(Bucket=bucket, Key=key, Body=body(s3, bucket, key)[: -int(count)])
        case ["uploads"]:
            return len(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
        case _:
            raise SystemExit(f"what is {words}?")
    return None


def body(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


main()
