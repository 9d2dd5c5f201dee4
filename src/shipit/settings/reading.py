# SPDX-License-Identifier: MPL-2.0
"""Read the settings once: one TOML file, the environment laid over it, secrets by reference."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from shipit.errors import InvalidInput, ShipitError
from shipit.settings import Instance, ReleaseKind, Repository, Secret, Section, Settings, TrainRule

# environment variable -> path of the setting it overrides
ENVIRONMENT: dict[str, tuple[str, str]] = {
    "SHIPIT_INSTANCE": ("", "instance"),
    "SHIPIT_SECRET_KEY": ("", "secret_key"),
    "SHIPIT_URL": ("backend", "url"),
    "DATABASE_URL": ("backend", "database_url"),
    "SHIPIT_PUBLIC_READ": ("backend", "public_read"),
    "SHIPIT_HOST": ("backend", "host"),
    "PORT": ("backend", "port"),
    "SHIPIT_BUGZILLA_URL": ("bugzilla", "url"),
    "SHIPIT_BUGZILLA_API_KEY": ("bugzilla", "api_key"),
    "SHIPIT_PHABRICATOR_URL": ("phabricator", "url"),
    "SHIPIT_PHABRICATOR_TOKEN": ("phabricator", "token"),
    "TASKCLUSTER_ROOT_URL": ("taskcluster", "root_url"),
    "TASKCLUSTER_CLIENT_ID": ("taskcluster", "client_id"),
    "TASKCLUSTER_ACCESS_TOKEN": ("taskcluster", "access_token"),
    "TASKCLUSTER_CERTIFICATE": ("taskcluster", "certificate"),
    "SHIPIT_LOGIN_CLIENT_ID": ("login", "client_id"),
    "SHIPIT_SCHEDULE_PROVIDER": ("schedule", "provider"),
    "SHIPIT_SCHEDULE_URL": ("schedule", "url"),
    "SHIPIT_LANDO_URL": ("lando", "url"),
    "SHIPIT_CACHE": ("bot", "cache"),
    "SHIPIT_PULSE_URL": ("pulse", "url"),
    "SHIPIT_STEPS_ALLOW_LOOPBACK": ("steps", "allow_loopback"),
    "SHIPIT_DECISIONS": ("decisions", "enabled"),
}

FetchSecret = Callable[[str, str], str]
_T = TypeVar("_T", bound=msgspec.Struct)
_SECTIONS: dict[str, type[msgspec.Struct]] = {
    field.name: type(field.default)
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.default, Section)
}


class BadSettings(ShipitError):
    """The settings cannot be used; every problem found, each naming its field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("settings: " + "; ".join(problems))
        self.problems = tuple(problems)


def load(environ: Mapping[str, str], *, fetch_secret: FetchSecret | None = None) -> Settings:
    """Read the file named by SHIPIT_CONFIG (if any), lay the environment over it, check the whole.

    fetch_secret(name, key) reads one value of a Taskcluster secret. Raises BadSettings with every problem.
    """
    problems: list[str] = []
    raw = _read_file(environ.get("SHIPIT_CONFIG"), problems)
    _lay_over(raw, environ)
    parts: dict[str, Any] = {}
    resolve = _Resolver(environ, fetch_secret)
    _flatten_credentials(raw)
    for name, kind in _SECTIONS.items():
        parts[name] = _convert(raw.pop(name, {}), kind, name, resolve, problems)
    repositories = _rows(raw.pop("repositories", []), Repository, "repositories", resolve, problems)
    trains = _rows(raw.pop("trains", []), TrainRule, "trains", resolve, problems)
    releases = _rows(raw.pop("releases", []), ReleaseKind, "releases", resolve, problems)
    for name in ("sources", "routes", "hooks"):
        parts[name] = _converted(raw.pop(name, ()), tuple[dict[str, Any], ...], name, problems)
    keys = raw.pop("secret_key", ())
    parts["secret_key"] = tuple(
        resolve(key, f"secret_key[{place}]", problems) for place, key in enumerate(_listed(keys))
    )
    parts["instance"] = _converted(raw.pop("instance", "testing"), Instance, "instance", problems)
    problems += [f"{unknown}: unknown setting" for unknown in raw]
    _check_names(repositories, trains, problems)
    kinds = [one.name for one in releases.values() if one is not None]
    problems += [f"releases: the name {n!r} is given twice" for n in _repeated(kinds)]
    if problems:
        raise BadSettings(problems)
    return Settings(
        repositories=tuple(one for one in repositories.values() if one is not None),
        trains=tuple(one for one in trains.values() if one is not None),
        releases=tuple(one for one in releases.values() if one is not None),
        **parts,
    )


def _read_file(path: str | None, problems: list[str]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"SHIPIT_CONFIG: cannot read {path}: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"SHIPIT_CONFIG: {path} is not TOML: {error}")
    return {}


def _flatten_credentials(raw: dict[str, Any]) -> None:
    """`[taskcluster] credentials = {client_id, access_token, certificate}` is the same as the three keys.

    The environment was laid over already, so it wins.
    """
    table = raw.get("taskcluster")
    if isinstance(table, dict) and isinstance(given := table.get("credentials"), dict):
        del table["credentials"]
        for name, value in given.items():
            table.setdefault(name, value)


def _lay_over(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    for variable, (section, name) in ENVIRONMENT.items():
        value = environ.get(variable)
        if not value:
            continue
        table = raw.setdefault(section, {}) if section else raw
        if isinstance(table, dict):
            table[name] = value


def _listed(keys: object) -> list[Any]:
    if isinstance(keys, str):
        return [key for key in keys.replace(",", " ").split() if key]
    return list(keys) if isinstance(keys, list | tuple) else [keys]


class _Resolver:
    """Turns {env=…}, {file=…}, {taskcluster=…, key=…} or plain text into a Secret."""

    def __init__(self, environ: Mapping[str, str], fetch_secret: FetchSecret | None) -> None:
        self._environ = environ
        self._fetch = fetch_secret

    def __call__(self, value: object, field: str, problems: list[str]) -> Secret | None:
        try:
            return Secret(self._resolve(value, field))
        except ShipitError as error:
            is_named = error.detail.startswith(field)
            problems.append(error.detail if is_named else f"{field}: {error.detail}")
            return None

    def _resolve(self, value: object, field: str) -> str:
        match value:
            case str():
                return value
            case {"env": str(name), **rest} if not rest:
                found = self._environ.get(name)
                if not found:
                    raise InvalidInput(field, expected=f"the environment variable {name} to be set")
                return found
            case {"file": str(path), **rest} if not rest:
                try:
                    return Path(path).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as error:
                    raise InvalidInput(field, expected=f"a readable file at {path}") from error
            case {"taskcluster": str(name), "key": str(key), **rest} if not rest:
                if self._fetch is None:
                    raise InvalidInput(field, expected="a Taskcluster root URL to read the secret from")
                return self._fetch(name, key)
        # the value itself is never echoed: somebody may have written the secret in a wrong shape
        raise InvalidInput(field, expected="text, {env=…}, {file=…} or {taskcluster=…, key=…}")


def _rows(
    rows: object, kind: type[_T], where: str, resolve: _Resolver, problems: list[str]
) -> dict[int, _T | None]:
    """Each table of an array by its place; None for one that could not be read."""
    if not isinstance(rows, list):
        problems.append(f"{where}: expected an array of tables ([[{where}]])")
        return {0: None}
    return {
        place: _convert(row, kind, f"{where}[{place}]", resolve, problems) for place, row in enumerate(rows)
    }


def _convert(table: object, kind: type[_T], where: str, resolve: _Resolver, problems: list[str]) -> _T | None:
    """The table, field by field so that every bad one is named; None when there is any."""
    if not isinstance(table, dict):
        problems.append(f"{where}: expected a table")
        return None
    before = len(problems)
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        place = f"{where}.{field.name}"
        if field.name not in table:
            if field.required:
                problems.append(f"{place}: expected to be set")
        elif "Secret" in str(field.type):
            values[field.name] = resolve(table[field.name], place, problems)
        else:
            values[field.name] = _converted(table[field.name], hints[field.name], place, problems)
    problems += [f"{where}.{unknown}: unknown setting" for unknown in table if unknown not in values]
    return kind(**values) if len(problems) == before else None


def _converted(value: object, hint: Any, where: str, problems: list[str]) -> Any:
    """The value as `hint` wants it, or None and one more problem, which does not show the value."""
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).removesuffix("`").partition(" - at `$")
        # that of an enumeration repeats the value, and does not say which there are
        if choices := _choices(hint):
            sentence = f"expected one of {', '.join(choices)}"
        problems.append(f"{where}{path}: {sentence}")
        return None


def _choices(hint: Any) -> list[str]:
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return [str(choice) for choice in get_args(inner)] if get_origin(inner) is Literal else []


def _check_names(
    repositories: Mapping[int, Repository | None],
    trains: Mapping[int, TrainRule | None],
    problems: list[str],
) -> None:
    """Names given twice and names of nothing; the latter only when every repository could be read."""
    names = [one.name for one in repositories.values() if one is not None]
    problems += [f"repositories: the name {n!r} is given twice" for n in _repeated(names)]
    for place, rule in trains.items():
        if rule is not None and None not in repositories.values() and rule.repository not in names:
            problems.append(f"trains[{place}].repository: expected one of {names}, got {rule.repository!r}")
    spelled = [rule.name for rule in trains.values() if rule is not None]
    problems += [f"trains: the name {n!r} is given twice" for n in _repeated(spelled)]


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
