# SPDX-License-Identifier: MPL-2.0
"""What can be set: frozen objects, secrets hidden in them; `shipit.settings.reading` reads them.

Each field's `Meta(description=…)` is what docs/operations.md prints; a test keeps both equal.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class Secret:
    """A value that neither repr, str, format nor a log shows; only `reveal` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


Instance = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="Which instance this is: production, staging or testing",
    ),
]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; an unknown key is an error, because a typo must not silently do nothing."""


class Backend(Section, frozen=True, kw_only=True):
    """The web service and its database."""

    url: Annotated[Url | None, Meta(description="Public URL of the web service; what the bot reports to")] = (
        None
    )
    database_url: Annotated[
        Secret | None, Meta(description="PostgreSQL 15 to 18; without it `shipit demo` runs its own")
    ] = None
    public_read: Annotated[bool, Meta(description="Whether visitors without a login see public data")] = False
    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="Other origins whose pages may call the API")
    ] = ()
    host: Annotated[str, Meta(description="Address the web service listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port the web service listens on (PORT)")] = 8000
    database_connections: Annotated[
        int, Meta(ge=2, le=50, description="Most database connections one process keeps")
    ] = 4
    restricted_scopes: Annotated[
        tuple[str, ...],
        Meta(description="Taskcluster scopes that let a person see restricted bugs"),
    ] = ("project:shipit:restricted",)


class Bugzilla(Section, frozen=True, kw_only=True):
    """Where requests come from."""

    url: Annotated[Url, Meta(description="Root of Bugzilla")] = "https://bugzilla.mozilla.org"
    api_key: Annotated[Secret | None, Meta(description="API key the bot reads with")] = None
    timeout: Annotated[float, Meta(gt=0, description="Seconds one call may take")] = 60.0
    batch: Annotated[int, Meta(ge=1, le=500, description="Most whole bugs read in one call")] = 25
    decided_days: Annotated[
        int, Meta(ge=0, description="How many days back decided requests are still looked for")
    ] = 42
    relnote_field: Annotated[
        str | None, Meta(description="Bug field that proposes a release note; None: there is none")
    ] = "cf_tracking_firefox_relnote"
    security_keywords: Annotated[
        tuple[str, ...], Meta(description="Ratings of security bugs that ask for an uplift, gravest first")
    ] = ("sec-critical", "sec-high")


class Phabricator(Section, frozen=True, kw_only=True):
    """Where patches under review live."""

    url: Annotated[Url | None, Meta(description="Root of Phabricator; None: no revisions are read")] = None
    token: Annotated[Secret | None, Meta(description="Conduit token the bot reads with")] = None
    timeout: Annotated[float, Meta(gt=0, description="Seconds one call may take")] = 60.0


class Taskcluster(Section, frozen=True, kw_only=True):
    """Who may do what, and who sends mail."""

    root_url: Annotated[Url | None, Meta(description="Root URL (TASKCLUSTER_ROOT_URL)")] = None
    client_id: Annotated[str | None, Meta(description="Client id (TASKCLUSTER_CLIENT_ID)")] = None
    access_token: Annotated[Secret | None, Meta(description="Access token (TASKCLUSTER_ACCESS_TOKEN)")] = None
    certificate: Annotated[
        Secret | None, Meta(description="Certificate of temporary credentials (TASKCLUSTER_CERTIFICATE)")
    ] = None

    @property
    def credentials(self) -> dict[str, str]:
        """What the Taskcluster client signs with; empty when we have none."""
        if self.client_id is None or self.access_token is None:
            return {}
        known = {"clientId": self.client_id, "accessToken": self.access_token.reveal()}
        if self.certificate is not None:
            known["certificate"] = self.certificate.reveal()
        return known


class Login(Section, frozen=True, kw_only=True):
    """How people log in: Taskcluster's OAuth2 login."""

    client_id: Annotated[
        str | None,
        Meta(description="Our OAuth2 client as Taskcluster has it registered; None: no person can log in"),
    ] = None
    scopes: Annotated[
        tuple[str, ...],
        Meta(description="Scopes asked for: exactly those registered; of them people get what they have"),
    ] = ("project:shipit:*",)
    hours: Annotated[
        float, Meta(gt=0, le=168, description="Hours a session lasts at most; Taskcluster may allow less")
    ] = 12.0
    idle_minutes: Annotated[
        float, Meta(gt=0, description="Minutes without any request after which a session ends")
    ] = 120.0
    recheck_minutes: Annotated[
        float,
        Meta(gt=0, description="Minutes after which Taskcluster is asked again what a person may do"),
    ] = 5.0
    providers: Annotated[
        tuple[str, ...],
        Meta(description='Identity providers: who signs as "provider/user/…" is the person "provider/user"'),
    ] = ("mozilla-auth0", "github")
    aliases: Annotated[
        dict[str, str],
        Meta(description="Clients and logins of people who have several: which person each is"),
    ] = {}
    only_people_sign: Annotated[
        bool, Meta(description="Whether a client that is no known person's may not sign a signoff")
    ] = False


class Schedule(Section, frozen=True, kw_only=True):
    """Where versions, dates and owners of trains come from."""

    provider: Annotated[
        Literal["whattrainisitnow", "product-details", "file"], Meta(description="Who is asked")
    ] = "whattrainisitnow"
    url: Annotated[str | None, Meta(description="Root of the provider, or path of the file")] = None
    timeout: Annotated[float, Meta(gt=0, description="Seconds one call may take")] = 30.0


class Lando(Section, frozen=True, kw_only=True):
    """Who maps Mercurial hashes to git hashes."""

    url: Annotated[Url | None, Meta(description="Root of Lando; None: hashes are not mapped")] = None
    repository: Annotated[str, Meta(description="Lando's name of the repository")] = "firefox"


class Repository(Section, frozen=True, kw_only=True):
    """A repository that trials run on."""

    name: Annotated[str, Meta(description="Name the trains refer to")]
    url: Annotated[str, Meta(description="Where it is cloned from")]
    kind: Annotated[Literal["git", "hg"], Meta(description="Kind of version control")] = "git"
    clone: Annotated[str | None, Meta(description="Folder of our clone; None: below the cache folder")] = None
    main: Annotated[str, Meta(description="Branch where patches land first")] = "main"
    fetch_timeout: Annotated[float, Meta(gt=0, description="Seconds a fetch may take")] = 900.0
    landing_urls: Annotated[
        tuple[str, ...],
        Meta(description="URL prefixes of commits in landing comments; the hash follows"),
    ] = ()


class TrainRule(Section, frozen=True, kw_only=True):
    """A train, or with `{major}` in its name a family of trains, and how it spells things.

    `{major}` in any text becomes the train's major version.
    """

    name: Annotated[str, Meta(description='"beta", or "esr{major}" for as many as the schedule names')]
    repository: Annotated[str, Meta(description="Name of a repository")]
    branch: Annotated[str, Meta(description="Branch of the train")]
    channel: Annotated[
        str | None, Meta(description="The schedule's channel; None: the name without its number")
    ] = None
    approval_flag: Annotated[str | None, Meta(description="Attachment flag that requests an uplift")] = None
    status_flag: Annotated[str | None, Meta(description="Bug field that says affected or fixed")] = None
    tracking_flag: Annotated[str | None, Meta(description="Bug field that says tracked")] = None
    version: Annotated[str | None, Meta(description="Overrides the schedule's version")] = None
    owner: Annotated[str | None, Meta(description="Overrides the schedule's owner")] = None
    next_build: Annotated[str | None, Meta(description="Overrides the next build: its name")] = None
    next_build_at: Annotated[str | None, Meta(description="… and its time (RFC 3339)")] = None


class ReleaseKind(Section, frozen=True, kw_only=True):
    """A kind of release that people start by its name: a template, and what of its values never changes."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="What people choose it by")]
    template: Annotated[str, Meta(description="Template of its pipelines, as `GET /api/templates` has them")]
    product: Annotated[str, Meta(description="Product, as scopes spell it")]
    train: Annotated[
        str | None, Meta(description="Train whose approved uplifts it waits for; None: for none")
    ] = None
    values: Annotated[
        dict[str, Any], Meta(description="Values of the template: hook, signers, rollout and so on")
    ] = {}


class Bot(Section, frozen=True, kw_only=True):
    """The uplift bot."""

    cache: Annotated[str, Meta(description="Folder for clones that have no folder of their own")] = "cache"
    workers: Annotated[int, Meta(ge=0, description="Merge workers; 0: one per core")] = 0
    look_seconds: Annotated[float, Meta(gt=0, description="Seconds between two looks of --watch")] = 30.0
    round_minutes: Annotated[float, Meta(gt=0, description="Minutes between two full rounds of --watch")] = (
        30.0
    )
    stale_minutes: Annotated[
        float, Meta(gt=0, description="Minutes without a round after which the runner raises the alarm")
    ] = 75.0
    notify: Annotated[
        tuple[str, ...], Meta(description="E-mail addresses told about alarms and new failures")
    ] = ()
    notify_people: Annotated[
        bool, Meta(description="Whether requester and patch author are told when a request newly fails")
    ] = True


class Pulse(Section, frozen=True, kw_only=True):
    """The message broker."""

    url: Annotated[
        Secret | None, Meta(description="amqps://user:password@host:port/vhost (SHIPIT_PULSE_URL)")
    ] = None
    ca_file: Annotated[
        str | None, Meta(description="PEM file of authorities that may sign the broker's certificate")
    ] = None
    heartbeat: Annotated[int, Meta(ge=2, le=600, description="Seconds between two heartbeats")] = 60
    prefetch: Annotated[
        int, Meta(ge=1, le=1500, description="Most deliveries a queue hands over unacknowledged")
    ] = 500
    queue_type: Annotated[Literal["classic", "quorum"], Meta(description="Kind of the queues we declare")] = (
        "classic"
    )
    warn_depth: Annotated[
        int,
        Meta(
            ge=1, description="Messages waiting in a queue that raise the alarm; PulseGuardian warns at 2000"
        ),
    ] = 1500
    quiet_minutes: Annotated[
        float,
        Meta(gt=0, description="Minutes without a heartbeat of a consumer after which it counts as dead"),
    ] = 5.0


class Listener(Section, frozen=True, kw_only=True):
    """What the listener does beside hearing."""

    notify: Annotated[
        tuple[str, ...], Meta(description="E-mail addresses that get the report and the alarms")
    ] = ()
    notify_matrix: Annotated[tuple[str, ...], Meta(description="Matrix rooms that get the alarms")] = ()
    notify_slack: Annotated[tuple[str, ...], Meta(description="Slack channels that get the alarms")] = ()
    report_hours: Annotated[float, Meta(gt=0, description="Hours between two reports")] = 7.0
    poll_seconds: Annotated[float, Meta(gt=0, description="Seconds between two polls of a source")] = 60.0
    sweep_minutes: Annotated[
        float, Meta(gt=0, description="Minutes between two sweeps for what polls cannot see")
    ] = 10.0
    deadline_hours: Annotated[
        float, Meta(gt=0, description="Hours an unreachable service is asked again before quarantine")
    ] = 24.0
    lease_seconds: Annotated[
        float,
        Meta(ge=1, description="Seconds after which what a killed listener held is taken up by another"),
    ] = 15.0
    retention_days: Annotated[int, Meta(ge=1, description="Days an event is kept")] = 30
    failure_streak: Annotated[
        int, Meta(ge=1, description="Failed tasks of a route in a row that raise the alarm")
    ] = 3
    max_recreations: Annotated[
        int, Meta(ge=0, description="Times a task that the machines lost is created again")
    ] = 3
    silent_minutes: Annotated[
        float, Meta(gt=0, description="Minutes a source may be unreachable before the alarm")
    ] = 15.0
    host: Annotated[str, Meta(description="Address of the heartbeat and metrics endpoint")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Its port; 0: there is none")] = 0
    github_secret: Annotated[
        Secret | None, Meta(description="Key of GitHub's webhook; two separated by a space while it changes")
    ] = None
    herald_key: Annotated[Secret | None, Meta(description="Key of Phabricator's Herald webhook")] = None
    harbormaster_key: Annotated[
        Secret | None, Meta(description="Password of the Harbormaster build step's request")
    ] = None
    github_token: Annotated[
        Secret | None, Meta(description="Token that may list and repeat deliveries of GitHub's webhook")
    ] = None


class Steps(Section, frozen=True, kw_only=True):
    """Which other step services our pipelines may use."""

    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description='Hosts of step services, "*.example.com" for all below')
    ] = ()
    allow_loopback: Annotated[
        bool, Meta(description="Whether services on this machine may be used, in plain HTTP")
    ] = False
    timeout: Annotated[
        float, Meta(gt=0, le=30, description="Seconds one call to a step service may take")
    ] = 10.0
    balrog_url: Annotated[
        Url | None, Meta(description="Balrog's admin API; None: its changes cannot be watched")
    ] = None
    balrog_token: Annotated[
        Secret | None, Meta(description="Bearer token the runner raises rates in Balrog with")
    ] = None


class Decisions(Section, frozen=True, kw_only=True):
    """What release managers decide here, and whether it is written outside."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether decisions are written to Bugzilla and Phabricator, each with its decider's "
            "own key; without it, or without secret_key, all is read-only (shadow mode)"
        ),
    ] = False
    hold_seconds: Annotated[
        float, Meta(ge=0, le=600, description="Seconds for which a decision may be taken back unsent")
    ] = 10.0


class Settings(Section, frozen=True, kw_only=True):
    """Everything, read once."""

    instance: Instance = "testing"
    backend: Backend = Backend()
    bugzilla: Bugzilla = Bugzilla()
    phabricator: Phabricator = Phabricator()
    taskcluster: Taskcluster = Taskcluster()
    login: Login = Login()
    schedule: Schedule = Schedule()
    lando: Lando = Lando()
    bot: Bot = Bot()
    pulse: Pulse = Pulse()
    listener: Listener = Listener()
    steps: Steps = Steps()
    decisions: Decisions = Decisions()
    repositories: tuple[Repository, ...] = ()
    trains: tuple[TrainRule, ...] = ()
    releases: tuple[ReleaseKind, ...] = ()
    sources: Annotated[tuple[dict[str, Any], ...], Meta(description="What the listener hears")] = ()
    routes: Annotated[tuple[dict[str, Any], ...], Meta(description="What the listener triggers")] = ()
    hooks: Annotated[
        tuple[dict[str, Any], ...], Meta(description="The original listener's HOOKS, taken as routes")
    ] = ()
    secret_key: Annotated[
        tuple[Secret, ...],
        Meta(
            description="Secrets that encrypt people's keys at rest: the first encrypts, all decrypt; any "
            "text of at least 16 characters each"
        ),
    ] = ()

    @property
    def is_shadow(self) -> bool:
        """Whether nothing is written to Bugzilla and Phabricator from here."""
        return not (self.decisions.enabled and self.secret_key)

    def repository(self, name: str) -> Repository:
        """The repository of that name; Missing is impossible after `load` checked the trains."""
        return next(r for r in self.repositories if r.name == name)
