"""What looks unsafe to run twice, and what does not: by words that a person can read in the source, too."""

import re
import textwrap
from pathlib import Path

import pytest

from postlude.stock.twice import SIGNS, signs

UNSAFE = {
    "def work(to): smtp.send_message(to)": "smtp.send_message() sends",
    "async def work(to): await client.post(URL, json=to)": "client.post() sends",
    "def work(order): stripe.Charge.create(amount=order)": "stripe.Charge.create() adds",
    "def work(order): stripe.refundPayment(order)": "stripe.refundPayment() charges",
    "def work(text): open('log.txt', 'a').write(text)": "open() appends to a file",
    "def work(text): Path('log.txt').open(mode='ab')": "Path('log.txt').open() appends to a file",
    "def work(user): user.balance -= 10": "changes user.balance by what it was",
    "def work(user): db.execute('INSERT INTO mails VALUES (1)')": "inserts a row, without ON CONFLICT",
    "def work(user): db.execute('UPDATE a SET n = n + 1')": "changes a column by what it was",
    "def work(user): self.session.add(user)": "self.session.add() adds a row",
    "def work(user): cache.incr('visits')": "cache.incr() adds",
    "def send_receipt(to): provider(to)": "its name says that it sends",
}
SAFE = [
    "def work(n): return n + 1",
    "def work(path): open(path, 'w').write('report')",
    "def work(n): asyncio.create_task(n)",
    "def work(user): db.execute('INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING')",
    "def work(user): db.execute('UPDATE a SET n = 1')",
    "def work(seen): seen.add(1)",
    "def work(self): self.count += 1",
    "def work(order): stripe.charge(order, idempotency_key=order)",
    "def work(order): provider.send(order, id=current_job().id)",
    "def create_report(n): open('report', 'w').write(n)",
    "def work(n): transport.sender_name(post_process(n))",
]


@pytest.mark.parametrize(("source", "what"), UNSAFE.items(), ids=UNSAFE)
def test_what_looks_unsafe(source: str, what: str) -> None:
    name = source.partition("(")[0].split()[-1]
    found = signs(f"\n{source}", name, 2)
    assert found is not None
    assert [(sign.line, sign.what) for sign in found] == [(2, what)]


@pytest.mark.parametrize("source", SAFE)
def test_what_does_not(source: str) -> None:
    assert signs(source, source.partition("(")[0].split()[-1], 1) == []


SOURCE = textwrap.dedent(
    """\
    def work(to):
        render(to)
        deliver(to)

    def render(to):
        work  # which it does not call

    def deliver(to):
        smtp.sendmail(to)
        work(to)

    class Mails:
        def other(self):
            def work(to): ...
    """
)


def test_functions_of_the_same_file_are_followed() -> None:
    found = signs(SOURCE, "work", 1)
    assert found is not None
    assert [(sign.line, sign.what) for sign in found] == [(9, "smtp.sendmail() sends")]


def test_of_several_with_the_name_the_nearest_is_meant() -> None:
    assert signs(SOURCE, "work", 14) == []


def test_what_is_not_there_any_more_is_not_judged() -> None:
    assert signs(SOURCE, "gone", 1) is None
    assert signs("def work(:", "work", 1) is None


def test_the_page_names_every_word() -> None:
    page = (Path(__file__).parents[2] / "docs" / "observe.md").read_text("utf-8")
    said = dict(re.findall(r"^\| (sends|charges|adds) \| (.+) \|$", page, re.MULTILINE))
    for sign, words in SIGNS.items():
        assert set(words.split()) <= set(re.findall(r"\w+", said[sign])), sign


def test_lambdas() -> None:
    found = signs("add_task(lambda: smtp.send(1))", "<lambda>", 1)
    assert found is not None
    assert [sign.what for sign in found] == ["smtp.send() sends"]
