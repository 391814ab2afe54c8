"""Texts that make a setting's picture again, bit for bit: Python and a command."""

import shlex

from steer.apps.setting import COLUMNS, Setting, consecutive, seed_text
from steer.condition import PNG_PREFIX
from steer.sampler import Sampler

SAID = frozenset({"prompt", "guidance"})
"""What a command can be told to ask for in words, beside the class."""


def python_of(setting: Setting) -> str:
    """Return Python that makes a setting's picture again; from its file where no few lines can say it."""
    dice, name = setting.dice, setting.dice.model.source
    if dice.held is not None or not _shipped(setting) or any(map(_is_picture, dice.asked.values())):
        return (
            "import steer\n\n"
            f"recipe = steer.Recipe.load({setting.file_name!r})  # the PNG that the studio saves\n"
            f"generator = steer.load_generator({name!r})\n"
            "picture = recipe.render(generator)\n"
            'recipe.save("again.png", generator)\n'
        )
    condition = f", condition={dice.wanted!r}" if dice.wanted else ""
    options = condition + (f", truncation={dice.truncation}" if dice.truncation != 1 else "")
    lines = [
        "import steer",
        "",
        f"generator = steer.load_generator({name!r})",
        f"latent = generator.sample(seeds={list(dice.seeds[: dice.birds])}{options})",
    ]
    if dice.thrown or setting.amounts:
        lines.append("knobs = steer.shipped_knobs(generator)")
    for knob, seed in dice.thrown:
        lines += [
            f"knob = knobs[{knob.name!r}]  # one die thrown, the others held",
            f"fresh = generator.sample(seeds={list(consecutive(seed, dice.birds))}{options})",
            "latent = latent.rolled(knob, fresh)",
        ]
    turns = ", ".join(_turn_of(setting, knob, amount) for knob, amount in setting.amounts.items())
    steps = f", sampler=steer.{dice.sampler!r}" if dice.sampler else ""
    layout = "bare=True" if dice.birds == 1 else f"columns={COLUMNS[dice.birds]}"
    lines += [
        f"steering = steer.Steering([{turns}])",
        f"picture = generator.decode(latent, steering{steps})",
        f"recipe = steer.Recipe.of(generator, latent, steering{steps}, layout=steer.Layout({layout}))",
        f"recipe.save({setting.file_name!r}, generator)",
    ]
    return "\n".join(lines) + "\n"


def command_of(setting: Setting) -> str:
    """Return a command that makes a setting's file again; from the file itself where no options can say it."""
    dice = setting.dice
    windowed = any(name in setting.windows for name in setting.amounts)
    said = set(dice.asked) <= SAID and dice.sampler in (None, Sampler(dice.steps or 1))
    if windowed or not said or not dice.plain or not _shipped(setting):
        named = dice.model.source == setting.generator.name
        where = [] if named else ["--generator", dice.model.source]
        return shlex.join(["steer", "render", setting.file_name, *where, "--out", "again.png"])
    words = ["steer", "sample", dice.model.source, "--seeds", seed_text(dice.seeds[: dice.birds])]
    words += ["--label", dice.label] if dice.label else []
    for name, entry in dice.asked.items():
        words += [f"--{name}", entry]
    words += ["--steps", f"{dice.steps}"] if dice.sampler else []
    words += ["--truncation", f"{dice.truncation}"] if dice.truncation != 1 else []
    for name, amount in setting.amounts.items():
        words += ["--turn", f"{name}={amount}"]
    words += ["--bare"] if dice.birds == 1 else ["--columns", f"{COLUMNS[dice.birds]}", "--no-numbers"]
    return shlex.join([*words, "--out", setting.file_name])


def _is_picture(entry: str) -> bool:
    return entry.startswith(PNG_PREFIX)


def _turn_of(setting: Setting, knob: str, amount: float) -> str:
    if knob not in setting.windows:
        return f"(knobs[{knob!r}], {amount})"
    window = setting.windows[knob]
    return f"steer.Turn(knobs[{knob!r}], {amount}, steer.Window({window.start}, {window.end}))"


def _shipped(setting: Setting) -> bool:
    """Return whether all turns are of knobs that come with the generator, and none holds what is locked."""
    if setting.holds:
        return False
    shipped = setting.dice.model.knobs
    return all(name in shipped and setting.knobs[name] is shipped[name] for name in setting.amounts)
