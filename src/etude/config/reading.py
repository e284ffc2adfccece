"""Recipes from TOML and back. Unknown keys are errors with a suggestion."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from etude.config.sections import EngineSection, Recipe, Section  # noqa
from etude.errors import RecipeError

_IN_PLACE = {"seed_repeat": "human_share", "epochs": "tokens"}
"""Settings, and the one that holds in their place where it is there: asked for without it, they
hold again."""


def recipe_names() -> list[str]:
    """The recipes that ship with etude."""
    folder = resources.files("etude.recipes")
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load(source: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """A recipe by the name of one that ships, or by file. `settings`: `section.key=value` texts.

    Raises `RecipeError` naming what was expected, what was found and what to do.
    """
    return parse(_read(source), str(source), settings)


def parse(text: str, where: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe from TOML text; `where` names it in errors. Raises `RecipeError`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} must be TOML but is not: {error}. Mend that line.") from None
    settings = list(settings)
    asked = {setting.partition("=")[0].strip() for setting in settings}
    for setting in settings:
        _apply(data, setting, asked)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_sentence(error)}") from None


def _read(source: str | Path) -> str:
    path = Path(source)
    if path.suffix != ".toml" and str(source) in recipe_names():
        return (resources.files("etude.recipes") / f"{source}.toml").read_text("utf-8")
    known = ", ".join(recipe_names())
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise RecipeError(
            f"{source} must be a TOML file in UTF-8 but is not text. Give a recipe's file."
        ) from None
    except OSError as error:
        raise RecipeError(
            f"{source} must be a recipe's file or one of {known}, but could not be read "
            f"({error.strerror}). Give one of those, or the path of a TOML file."
        ) from None


def _apply(data: dict[str, Any], setting: str, asked: Collection[str]) -> None:
    """`asked`: the places of all settings, so that they mean the same in any order."""
    key, equals, value = setting.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise RecipeError(
            f"--set must be section.key=value but got {setting!r}. Write for example run.seed=1."
        )
    *sections, last = path
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise RecipeError(f"--set {setting}: {section} is a value, not a section.")
    other = _IN_PLACE.get(last, "")
    if ".".join([*sections, other]) not in asked:
        data.pop(other, None)
    data[last] = _value(value.strip())


def _value(text: str) -> Any:
    """A TOML value; text that is none is taken as a string, so that quotes can be left out."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(error: ValidationError) -> str:
    errors = error.errors()
    first, setting = errors[0], _setting(errors[0]["loc"])
    of_one = [one for one in errors if _setting(one["loc"]) == setting]
    place, left = ".".join(setting), len(errors) - len(of_one)
    more = f" ({left} more problem{'s follow' if left > 1 else ' follows'})" if left else ""
    if first["type"] == "extra_forbidden":
        return f"{_unknown(first['loc'])}{more}"
    if first["type"] == "missing":
        return f"{place} must be given but is missing. Add it{more}."
    message = str(first["msg"]).removeprefix("Value error, ")
    for other in of_one[1:]:  # what a setting of another type might be instead
        message += f", or {str(other['msg']).removeprefix('Input should be ')}"
    if not place:
        return f"{message}{more}."
    return f"{place} is {first['input']!r}: {message}. Change it{more}."


def _setting(path: tuple[str | int, ...]) -> list[str]:
    """The setting that an error is of: its place without the name of a type that was tried."""
    found: list[str] = []
    for part in path:
        if isinstance(part, int) or _fields(found):
            found.append(str(part))
    return found


def _unknown(path: tuple[str | int, ...]) -> str:
    *sections, key = [str(part) for part in path]
    names = list(_fields(sections))
    close = difflib.get_close_matches(key, names, 1) or [
        f"{section}.{key}" for section in Recipe.model_fields if key in _fields([section])
    ]
    place = ".".join([*sections, key])
    hint = f"Did you mean {close[0]}?" if close else f"Known there: {', '.join(names)}."
    return f"{place} is not a setting. {hint}"


def _fields(sections: list[str]) -> Iterable[str]:
    model: Any = Recipe
    for section in sections:
        annotation = model.model_fields[section].annotation
        members = [annotation, *getattr(annotation, "__args__", ())]
        model = next((m for m in members if isinstance(m, type) and issubclass(m, Section)), None)
        if model is None:
            return []
    return list(model.model_fields)


def dump(recipe: Recipe) -> str:
    """The resolved recipe as TOML: every setting, defaults included. `parse` reads it back."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
