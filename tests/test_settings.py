# SPDX-License-Identifier: MPL-2.0
"""Settings are read once, every problem is named, and no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shipit.errors import Unavailable
from shipit.settings import Secret, Settings
from shipit.settings.reading import ENVIRONMENT, BadSettings, load

SKETCH = """
instance = "production"
[backend]
url = "https://shipit.example"
public_read = true
allowed_origins = ["https://board.example"]
[bugzilla]
url = "https://bugs.example"
api_key = { env = "OUR_KEY" }
[phabricator]
url = "https://reviews.example"
token = { file = "TOKEN_FILE" }
[taskcluster]
root_url = "https://tc.example"
credentials = { client_id = "bot", access_token = { env = "OUR_KEY" } }
[schedule]
provider = "product-details"
url = "https://dates.example/1.0"
[[repositories]]
name = "product"
kind = "git"
url = "https://git.example/product"
clone = "clones/product"
main = "main"
[[trains]]
name = "beta"
repository = "product"
branch = "beta"
approval_flag = "approval-product-beta"
status_flag = "cf_status_product{major}"
tracking_flag = "cf_tracking_product{major}"
[[trains]]
name = "esr{major}"
repository = "product"
branch = "esr{major}"
approval_flag = "approval-product-esr{major}"
"""


def read(tmp_path: Path, text: str, **environ: str) -> Settings:
    token = tmp_path / "token"
    token.write_text("from-a-file\n")
    file = tmp_path / "shipit.toml"
    file.write_text(text.replace("TOKEN_FILE", str(token)))
    return load({"SHIPIT_CONFIG": str(file), "OUR_KEY": "hush", **environ})


def test_one_file_names_everything(tmp_path: Path) -> None:
    settings = read(tmp_path, SKETCH)
    assert settings.instance == "production"
    assert settings.bugzilla.api_key == Secret("hush")
    assert settings.phabricator.token == Secret("from-a-file")
    assert settings.taskcluster.credentials == {"clientId": "bot", "accessToken": "hush"}
    assert [rule.name for rule in settings.trains] == ["beta", "esr{major}"]
    assert settings.repository("product").clone == "clones/product"


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        SKETCH,
        SHIPIT_BUGZILLA_URL="https://other.example",
        SHIPIT_BUGZILLA_API_KEY="louder",
        TASKCLUSTER_CLIENT_ID="hosted",
        PORT="8765",
        DATABASE_URL="postgresql://db/shipit",
    )
    assert settings.bugzilla.url == "https://other.example"
    assert settings.bugzilla.api_key == Secret("louder")
    assert settings.taskcluster.client_id == "hosted"
    assert settings.backend.port == 8765
    assert settings.backend.database_url == Secret("postgresql://db/shipit")


def test_nothing_set_is_usable_too() -> None:
    settings = load({})
    assert settings.instance == "testing"
    assert settings.trains == ()


BROKEN = """
instance = "The Best"
bakend = 1
[backend]
port = "eighty"
public_read = "perhaps"
database_url = { env = "NOWHERE" }
hots = "typo"
[schedule]
provider = "cryst4l-ball"
timeout = -1
[bot]
notify = ["ann@example.invalid", 7]
[[repositories]]
name = "product"
url = "https://git.example/product"
[[repositories]]
name = "product"
url = "https://git.example/again"
[[trains]]
name = "beta"
repository = "other"
branch = "beta"
[[trains]]
repository = "product"
branch = 5
"""


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as told:
        read(tmp_path, BROKEN)
    assert sorted(problem.split(":")[0] for problem in told.value.problems) == [
        "backend.database_url",
        "backend.hots",
        "backend.port",
        "backend.public_read",
        "bakend",
        "bot.notify[1]",
        "instance",
        "repositories",
        "schedule.provider",
        "schedule.timeout",
        "trains[0].repository",
        "trains[1].branch",
        "trains[1].name",
    ]
    assert "trains[0].repository: expected one of ['product', 'product'], got 'other'" in str(told.value)
    provider = "schedule.provider: expected one of whattrainisitnow, product-details, file"
    assert provider in told.value.problems
    assert "cryst4l" not in str(told.value)


def test_a_repository_that_cannot_be_read_makes_no_train_wrong(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as told:
        read(tmp_path, SKETCH.replace('kind = "git"', 'kind = "cvs"'))
    assert told.value.problems == ("repositories[0].kind: expected one of git, hg",)


def test_a_secret_that_cannot_be_fetched_hides_no_other_problem(tmp_path: Path) -> None:
    file = tmp_path / "shipit.toml"
    file.write_text('[bugzilla]\nbatch = 0\napi_key = { taskcluster = "project/bot", key = "bugzilla" }\n')

    def fetch(name: str, key: str) -> str:
        raise Unavailable("Taskcluster", "does not answer")

    with pytest.raises(BadSettings) as told:
        load({"SHIPIT_CONFIG": str(file)}, fetch_secret=fetch)
    assert sorted(told.value.problems) == [
        "bugzilla.api_key: Taskcluster: does not answer",
        "bugzilla.batch: Expected `int` >= 1",
    ]


def test_a_misspelt_key_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"bugzilla\.api_kye: unknown setting"):
        read(tmp_path, SKETCH.replace("api_key = {", "api_kye = {"))


def test_a_missing_secret_names_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"bugzilla\.api_key: .*environment variable NOWHERE"):
        read(tmp_path, SKETCH.replace('api_key = { env = "OUR_KEY" }', 'api_key = { env = "NOWHERE" }'))
    with pytest.raises(BadSettings, match=r"phabricator\.token: .*readable file"):
        read(tmp_path, SKETCH.replace("TOKEN_FILE", "/nowhere/at/all"))


def test_a_secret_in_a_wrong_shape_is_not_repeated(tmp_path: Path) -> None:
    text = SKETCH.replace('api_key = { env = "OUR_KEY" }', 'api_key = { key = "s3cr3t-value" }')
    with pytest.raises(BadSettings) as told:
        read(tmp_path, text)
    assert "s3cr3t-value" not in str(told.value)


def test_a_taskcluster_secret_is_fetched(tmp_path: Path) -> None:
    file = tmp_path / "shipit.toml"
    file.write_text('[bugzilla]\napi_key = { taskcluster = "project/shipit/bot", key = "bugzilla" }\n')
    asked = []

    def fetch(name: str, key: str) -> str:
        asked.append((name, key))
        return "fetched"

    settings = load({"SHIPIT_CONFIG": str(file)}, fetch_secret=fetch)
    assert settings.bugzilla.api_key == Secret("fetched")
    assert asked == [("project/shipit/bot", "bugzilla")]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = read(tmp_path, SKETCH, DATABASE_URL="postgresql://u:pw@db/x", SHIPIT_SECRET_KEY="k3y-a k3y-b")
    shown = f"{settings!r} {settings} {settings.bugzilla.api_key} {[*settings.secret_key]}"
    for secret in ("hush", "from-a-file", "u:pw", "k3y-"):
        assert secret not in shown
    assert [key.reveal() for key in settings.secret_key] == ["k3y-a", "k3y-b"]


def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="SHIPIT_CONFIG: cannot read"):
        load({"SHIPIT_CONFIG": str(tmp_path / "absent.toml")})
    broken = tmp_path / "broken.toml"
    broken.write_text("[backend\n")
    with pytest.raises(BadSettings, match="is not TOML"):
        load({"SHIPIT_CONFIG": str(broken)})


def test_every_environment_variable_leads_to_a_setting() -> None:
    for variable, (section, name) in ENVIRONMENT.items():
        owner = getattr(Settings(), section) if section else Settings()
        assert name in {field.name for field in msgspec.structs.fields(owner)}, variable
