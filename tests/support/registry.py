"""A real registry: a database on a throw-away cluster, set up with the real binary."""

import pathlib
import tempfile

from support.domicile import domicile, domicile_json
from support.postgres import Cluster

REGIONS = """
[[jurisdiction]]
id = "CA"
locations = ["ca-central-1", "ca-west-1"]
[[jurisdiction]]
id = "US"
locations = ["us-east-1"]
[[region]]
id = "ca-central-1"
jurisdiction = "CA"
locations = ["ca-west-1"]
url = "http://127.0.0.1:1"
master = true
[[region]]
id = "us-east-1"
jurisdiction = "US"
url = "http://127.0.0.1:2"
"""


class Registry:
    def __init__(self, cluster: Cluster, database: str = "domicile_registry"):
        self.cluster = cluster
        self.database = database
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="domicile-registry-"))
        with cluster.connect() as connection:
            connection.execute("CREATE ROLE registrar LOGIN CREATEROLE PASSWORD 'registrar'")
            connection.execute("CREATE ROLE operator LOGIN PASSWORD 'operator'")
            connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        cluster.create_database(database, owner="registrar")
        self.regions_file = self.folder / "regions.toml"
        self.regions_file.write_text(REGIONS)
        self.installer = self.secret("installer.dsn", cluster.dsn(database, "registrar", "registrar"))
        self.dsn_file = self.secret("operator.dsn", cluster.dsn(database, "operator", "operator"))
        self.reader_file = self.secret("reader.dsn", cluster.dsn(database, "reader", "reader"))

    def secret(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def init(self, *more, **kwargs):
        return domicile("registry", "init", "--registry-dsn-file", self.installer, "--file", self.regions_file,
                        "--reader", "reader", "--writer", "operator", *more, **kwargs)

    def org(self, *arguments, **kwargs):
        return domicile("org", *arguments, "--registry-dsn-file", self.dsn_file, **kwargs)

    def org_json(self, *arguments, **kwargs):
        return domicile_json("org", *arguments, "--registry-dsn-file", self.dsn_file, **kwargs)

    def connect(self, **kwargs):
        return self.cluster.connect(self.database, "operator", "operator", **kwargs)
