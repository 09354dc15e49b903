"""Triggers and caps as files: what cannot be meant is refused with file, line and what would be right."""

from __future__ import annotations

import pytest

import conf
from conf import ConfError
from tests.conf.conftest import Write

TRIGGER = {
    "name": '"offer"',
    "about": '"Made up."',
    "owner": '"growth"',
    "over": '"profiles"',
    "when": '"recharge_count >= 1"',
    "channels": '["push"]',
    "message_class": '"promotional"',
    "priority": "1",
    "repeat": '{ kind = "cooldown", days = 7 }',
    "valid_days": "3",
    "goal": '"transfer"',
    "goal_days": "7",
}


def written(**changes: str) -> str:
    """One trigger, each key on a line of its own; an empty value leaves the key out."""
    lines = [f"{key} = {value}" for key, value in {**TRIGGER, **changes}.items() if value]
    return "\n".join(["[[trigger]]", *lines]) + "\n"


def faults(environ: dict[str, str]) -> str:
    with pytest.raises(ConfError) as refused:
        conf.load(environ=environ)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner": ""}, "trigger.owner: is missing"),
        ({"channels": '["pigeon"]'}, "there is no 'pigeon'; valid are"),
        ({"channels": '["push", "push"]'}, "names push more than once"),
        ({"channels": "[]"}, "trigger.channels: "),
        ({"channels": '["sms"]'}, "has the channel sms, for which operators ask for template_id and header_id"),
        ({"holdout": "1.2"}, "trigger.holdout: should be less than 1"),
        ({"holdout": "-0.1"}, "trigger.holdout: should be greater than or equal to 0"),
        ({"budget": "{ contacts = -1 }"}, "trigger.budget.contacts: should be greater than or equal to 0"),
        ({"budget": "{ amount_minor = 5 }"}, "should be { contacts }, or { amount_minor, cost_minor }"),
        ({"budget": "{ amount_minor = 5, cost_minor = 0 }"}, "greater than or equal to 1"),
        ({"repeat": '{ kind = "cooldown" }'}, 'kind = "cooldown" needs days'),
        ({"repeat": '{ kind = "once", days = 3 }'}, 'kind = "once" takes no days'),
        ({"repeat": '{ kind = "often" }'}, "trigger.repeat.kind: "),
        ({"send_window": '["20:00", "10:00"]'}, "20:00 to 10:00 ends before it begins"),
        ({"send_window": '["08:30", "20:00"]'}, "is promotional, and such messages go out between 09:00 and 21:00"),
        ({"send_window": '["10:00", "21:30"]'}, "is promotional, and such messages go out between 09:00 and 21:00"),
        ({"send_window": '["8", "20:00"]'}, "'8' should be a time of day, such as 10:00"),
        ({"message_class": '"marketing"'}, "there is no 'marketing'; valid are promotional, service"),
        ({"goal": '"tranfer"'}, "there is no 'tranfer'; did you mean transfer?"),
        ({"priority": "0"}, "trigger.priority: should be greater than or equal to 1"),
        ({"valid_days": "400"}, "trigger.valid_days: should be less than or equal to 90"),
        ({"expect": "{ min = 9, max = 3 }"}, "min 9 is above max 3"),
        ({"holdot": "0.1"}, "unknown key; did you mean holdout?"),
    ],
)
def test_what_cannot_be_meant_is_refused(overlay: Write, changes: dict[str, str], said: str) -> None:
    told = faults(overlay({"triggers/mine.toml": written(**changes)}))
    assert said in told
    assert "triggers/mine.toml:" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[holdout]\nshare = 1.5\n", "holdout.share: should be less than 1"),
        ('[holdout]\nkey = "a b"\n', "'a b' should be letters, digits, dots, - and _"),
        ('[[cap]]\nchannel = "pigeon"\nmax = 1\ndays = 7\n', "there is no 'pigeon'"),
        ('[[cap]]\nchannel = "push"\nmax = -1\ndays = 7\n', "greater than or equal to 0"),
        ('[[cap]]\nchannel = "push"\nmax = 1\ndays = 7\n' * 2, "names push promotional more than once"),
        ('[[cap]]\nchannel = "push"\nmessage_class = "service"\nmax = 1\ndays = 7\n', "cap.message_class: "),
    ],
)
def test_caps_that_cannot_be_meant_are_refused(overlay: Write, text: str, said: str) -> None:
    told = faults(overlay({"caps.toml": text}))
    assert said in told
    assert "caps.toml:" in told


def test_a_goal_that_the_masks_do_not_reach_is_refused(overlay: Write) -> None:
    base, said = "[lake]\nclose_after = 39\n", "lake.close_after: 39 and goal_days of offer (90) may be 128 together"
    # The windows of retention are too wide for it as well, which is said beside it.
    assert said in faults(overlay({"base.toml": base, "triggers/mine.toml": written(goal_days="90")}))
    assert said not in faults(overlay({"base.toml": base, "triggers/mine.toml": written(goal_days="89")}))


def test_messages_about_what_was_asked_for_may_go_out_at_any_hour(overlay: Write) -> None:
    text = written(send_window='["00:00", "23:59"]', message_class='"service"')
    conf.load(environ=overlay({"triggers/mine.toml": text}))


def test_a_trigger_of_the_same_name_takes_the_place_of_the_shipped_one(overlay: Write) -> None:
    own = written(name='"win_back"')
    settings = conf.load(environ=overlay({"triggers/mine.toml": own}))
    [found] = [trigger for trigger in settings.triggers if trigger.name == "win_back"]
    assert (found.owner, found.replaces) == ("growth", True)
    assert len(settings.triggers) == len(conf.load(environ={}).triggers)
    assert settings.digest != conf.load(environ={}).digest


def test_a_budget_of_money_pays_for_whole_contacts(overlay: Write) -> None:
    text = written(budget="{ amount_minor = 1999, cost_minor = 1000 }")
    settings = conf.load(environ=overlay({"triggers/mine.toml": text}))
    [found] = [trigger for trigger in settings.triggers if trigger.name == "offer"]
    assert found.budget is not None
    assert found.budget.most == 1
