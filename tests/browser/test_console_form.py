"""The screen Form: a field for each parameter by its type, what is sent, and what the server says of it."""

import json
import subprocess
import unicodedata

import pytest
from selenium.webdriver.common.keys import Keys

from harness import PASSWORD, PATIENCE, REPORTCTL

# With what ends a paste, turns the text around, or is not seen.
UNSEEN = "x\u001b[201~\u0015touch pasted\u000f \u202e\u2066\u200b\u00ad\u007f\u0085\u2028\U000e0041 it's !! \\ 日本"
ODD = """it's "$HOME" `id` \\ ; é 日本"""


@pytest.fixture
def form(page):
    page.log_in(hash_="#/new/Everything")
    page.field("Number")
    return page


def parameters(client):
    """Of the only report there is."""
    (reference,) = client.references()
    return client.list(Reference=reference).json()["data"]["reports"][0]["parameters"]


def submitted(page, client):
    page.press("Run")
    page.until(lambda: "#/new/" not in page.driver.current_url, "the submission")
    return parameters(client)


def tags(page, name):
    return [found.text for found in page.all(f".list-field:has(#field-{name}) .tag")]


def test_each_parameter_has_the_field_of_its_type(form):
    kinds = {name: form.field(name).get_attribute("type") for name in ("Note", "Number", "Price", "Day", "At", "Sure", "Colour", "Product", "Products", "Places")}
    assert kinds == {"Note": "text", "Number": "text", "Price": "text", "Day": "date", "At": "text", "Sure": "select-one", "Colour": "select-one",
                     "Product": "text", "Products": "text", "Places": "text"}
    assert form.field("Price").get_attribute("inputmode") == "decimal" and form.field("Price").get_attribute("pattern")
    assert form.field("Product").get_attribute("role") == form.field("Products").get_attribute("role") == "combobox"
    assert [name for name in kinds if form.field(name).get_attribute("aria-required")] == ["Sure"]
    assert "required" in form.text(".field:has(#field-Sure)")


def test_defaults_are_those_of_today(form, alice):
    kind = next(kind for kind in alice.get("/Report/Types").json()["data"] if kind["name"] == "Everything")
    for each in kind["parameters"]:
        if not each["type"].startswith("list"):
            assert form.field(each["name"]).get_attribute("value") == (each["default"] or ""), each["name"]


def test_the_default_of_a_boolean_is_said_in_the_words_of_its_list(page):
    page.log_in(hash_="#/new/Doubt")
    page.field("Maybe")
    assert page.text("#field-Maybe-about") == "Empty: the default, No."


def test_what_is_filled_in_is_what_the_report_gets(form, alice):
    form.fill("Note", ODD)
    form.fill("Number", "007")
    form.fill("Price", "0.10")
    form.script("const day = document.getElementById('field-Day'); day.value = '2024-02-29'; day.dispatchEvent(new Event('input'))")
    form.fill("At", "2024-01-12 14:04")
    form.field("Sure").send_keys("No")
    form.field("Colour").send_keys("Blue")
    form.fill("Places", "AU,NZ,")
    form.fill("Places", '["a, b"]' + Keys.ENTER)
    assert tags(form, "Places") == ["AU", "NZ", "a, b"]
    assert submitted(form, alice) == {
        "Note": ODD, "Number": "7", "Price": "0.10", "Day": "2024-02-29", "At": "2024-01-12T14:04:00Z", "Sure": "false", "Colour": "Blue",
        "Places": '["AU","NZ","a, b"]'}


def test_what_is_left_empty_is_not_sent(form, alice):
    form.field("Sure").send_keys("Yes")
    form.fill("Price", Keys.DELETE)
    assert "Price" not in form.text("aside")
    given = submitted(form, alice)
    assert given["Price"] == "12.50" and "Note" not in given and "Places" not in given


def test_choices_are_searched_by_label_and_chosen_by_key(form, alice):
    form.until(lambda: form.field("Product").send_keys(Keys.ARROW_DOWN) or form.all("#field-Product ~ .choices li"), "the choices")
    form.fill("Product", "sha")
    form.until(lambda: [found.text for found in form.all("[role=option]") if found.is_displayed()] == ['Shares "A"\n2'], "one choice")
    form.field("Product").send_keys(Keys.ENTER)
    assert form.field("Product").get_attribute("value") == "2"
    form.fill("Products", "bon" + Keys.ENTER)
    form.fill("Products", "empty" + Keys.ENTER)
    assert tags(form, "Products") == ["Bonds", "Empty"]
    form.field("Products").send_keys(Keys.BACKSPACE)
    assert tags(form, "Products") == ["Bonds"]
    form.field("Sure").send_keys("Yes")
    given = submitted(form, alice)
    assert given["Product"] == "2" and given["Products"] == "1"


@pytest.mark.parametrize("name, value", [("Number", "many"), ("Number", "501"), ("Price", "1e3"), ("At", "yesterday"), ("Sure", None)])
def test_an_error_is_at_its_field_in_the_servers_words(form, alice, name, value):
    given = {"Sure": "true"}
    if value is None:
        given = {}
    else:
        given[name] = value
        form.field("Sure").send_keys("Yes")
        form.fill(name, value)
    words = alice.call("POST", "/Report", json={"reportName": "Everything", "parameters": given}).json()["message"]
    assert name in words
    form.press("Run")
    form.until(lambda: form.text(f"#field-{name}-error") == words, "the message")
    assert form.focused.get_attribute("id") == f"field-{name}" and form.focused.get_attribute("aria-invalid") == "true"
    assert f"field-{name}-error" in form.focused.get_attribute("aria-describedby")
    assert form.focused.get_attribute("value") == (value or "")
    assert alice.references() == []
    form.field(name).send_keys("1" if value else "Y")
    assert form.text(f"#field-{name}-error") == ""


def test_an_error_is_right_below_its_control(page):
    page.log_in(hash_="#/new/Quick")
    page.fill("ProductID", "many")
    page.press("Run")
    page.until(lambda: page.all("[aria-invalid=true]"), "the error")
    control, error = (page.script("const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.top, box.bottom]", css)
                      for css in ("[aria-invalid=true]", ".error-text:not(:empty)"))
    assert control[1] <= error[0] < control[1] + 20


def test_a_day_that_does_not_exist_is_told_before_it_is_sent(form, alice):
    form.field("Day").send_keys("02312024")
    form.press("Run")
    form.says("This is not a day", "#field-Day-error")
    assert form.focused.get_attribute("id") == "field-Day" and alice.references() == []


def test_run_that_is_pressed_again_and_again_submits_once(page, alice):
    page.log_in(hash_="#/new/Pause")
    page.named("Run")
    page.script("""const form = document.querySelector('form.form');
        const timer = setInterval(() => form.isConnected ? form.dispatchEvent(new Event('submit', { cancelable: true })) : clearInterval(timer), 0)""")
    page.until(lambda: "#/result/" in page.driver.current_url, "the result")
    assert len(alice.references()) == 1


def test_a_reload_keeps_what_was_typed(form):
    form.fill("Note", ODD)
    form.fill("Number", "8")
    form.fill("Places", "AU,NZ,")
    form.driver.refresh()
    assert form.field("Note").get_attribute("value") == ODD and form.field("Number").get_attribute("value") == "8"
    assert tags(form, "Places") == ["AU", "NZ"]


@pytest.mark.parametrize("note", [ODD, UNSEEN], ids=["odd", "unseen"])
def test_the_commands_do_what_the_form_does(note, form, alice, server, tmp_path):
    form.script("const note = document.getElementById('field-Note'); note.value = arguments[0]; note.dispatchEvent(new Event('input'))", note)
    form.field("Sure").send_keys("Yes")
    form.fill("Places", '["a, b"]' + Keys.ENTER)
    reportctl, curl = form.script("return [...document.querySelectorAll('aside pre')].map(found => found.textContent)")
    assert [sign for sign in reportctl + curl if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")] == []
    assert alice.token not in form.driver.page_source and alice.token not in curl
    environment = {"PATH": f"{REPORTCTL.parent}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(tmp_path), "TOKEN": alice.token, "HOME": "/nonexistent"}

    def shell(command, **more):
        return subprocess.run(["bash", "-ec", command], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE, **more)
    shell(f"reportctl login --server {server.url} -u alice", input=PASSWORD + "\n")
    shell(reportctl)
    of_reportctl = json.loads((tmp_path / "Everything.json").read_text())["data"]["parameters"]
    assert json.loads(shell(curl).stdout)["result"] is True
    of_curl = parameters(alice)
    alice.delete_all()
    assert submitted(form, alice) == of_curl == of_reportctl
    assert of_curl["Note"] == note


def test_a_user_with_too_many_active_reports_can_cancel_one(page, alice):
    active = [alice.order("Endless") for _ in range(10)]
    page.log_in(hash_="#/new/Pause")
    page.press("Run")
    page.says("10 active reports", ".limit h2")
    assert "DELETE" not in page.text(".limit")  # which is how a program would cancel one
    assert len(page.all(".limit li")) == 10 and len(alice.references()) == 10
    page.all(".limit li button")[-1].click()
    page.press("Run now")
    page.until(lambda: "#/run/" in page.driver.current_url, "the submission")
    left = alice.references()
    assert len(left) == 10 and len(set(left) & set(active)) == 9


def test_a_restart_loses_nothing_that_was_typed(own_page, own_server):
    server, _ = own_server
    server.environment["REPORTD_LISTEN"] = server.url.removeprefix("http://")
    own_page.log_in(hash_="#/new/Big")
    own_page.fill("Rows", "7")
    assert server.stop() == 0
    own_page.press("Run")
    own_page.says("Trying again", "form")
    server.start()
    own_page.until(lambda: "#/result/" in own_page.driver.current_url, "the result")
    client = server.client("alice")
    assert parameters(client) == {"Rows": "7"}


def test_a_session_that_ends_loses_nothing_that_was_typed(own_page, own_server):
    server, _ = own_server
    own_page.log_in(hash_="#/new/Big")
    own_page.fill("Rows", "7")
    server.user("passwd", "alice", stdin=PASSWORD + "\n")
    own_page.says("Your session has ended", "dialog")
    own_page.fill("Password", PASSWORD)
    own_page.press("Log in")
    own_page.until(lambda: not own_page.all("dialog"), "the login")
    assert own_page.h1 == "Big" and own_page.field("Rows").get_attribute("value") == "7"
    own_page.press("Run")
    own_page.until(lambda: "#/result/" in own_page.driver.current_url, "the result")
    assert parameters(server.client("alice")) == {"Rows": "7"}
