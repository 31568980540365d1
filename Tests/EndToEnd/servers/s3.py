"""S3: moto's server in a process of its own, read back by boto3."""
import sys
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

from servers.process import Program

REGION = "eu-central-1"
ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
WRITE_ONLY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}'


class S3(Program):
    """A `bucket`, and credentials in `access_key` and `secret_key` that may put objects into it and nothing else: once
    they have been made, signatures and rights are checked. Path style.

    moto holds objects in memory: killed, it comes back empty, and without the user. Where a test needs a server that
    goes and comes back, a relay.Relay stands before it and is cut or frozen."""

    scheme = "http"

    def __init__(self, bucket="xtcp", checked=True):
        super().__init__()
        self.bucket, self.checked = bucket, checked
        self.access_key, self.secret_key = "AKIAANYTHINGGOES", "not-checked"
        self.reader = ("AKIAANYTHINGGOES", "not-checked")

    def arguments(self):
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/moto-api/data.json", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def start(self):
        super().start()
        self.client().create_bucket(Bucket=self.bucket,
                                    CreateBucketConfiguration={"LocationConstraint": REGION})
        if self.checked:
            self.access_key, self.secret_key = self._make_user("xtcpd", WRITE_ONLY)
            self.reader = self._make_user("reader", ANYTHING)
            request = urllib.request.Request(self.url + "/moto-api/reset-auth", b"0",
                                             {"Content-Type": "text/plain"})
            urllib.request.urlopen(request, timeout=5).close()

    def _make_user(self, name, policy):
        manager = self.client("iam")
        manager.create_user(UserName=name)
        manager.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
        key = manager.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def client(self, service="s3", *, key=None, **options):
        """Of boto3, with the rights of the reader, or of the `key` (id, secret)."""
        identity, secret = key or self.reader
        settings = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=identity,
                            aws_secret_access_key=secret, config=settings, **options)

    def keys(self, prefix=""):
        """The objects' keys, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read_all(self, prefix=""):
        """{key: bytes} of every object."""
        client = self.client()
        return {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.keys(prefix)}

    def describe(self, key):
        """What HEAD says: ContentType, ContentEncoding, Metadata, ..."""
        return self.client().head_object(Bucket=self.bucket, Key=key)
