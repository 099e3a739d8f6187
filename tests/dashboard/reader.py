"""A browser without JavaScript: it follows links and redirects, keeps cookies, and fills in the forms that a page holds."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


@dataclass
class Form:
    """What a page would send: the fields with what stands in them, and the buttons' names and values."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)


class _Parser(HTMLParser):
    """Collects forms, links and the words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self.commands: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._within: list[str] = []
        self._area = ""
        self._select = ""
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag not in ("input", "meta", "link", "br", "img"):
            self._within.append(tag)
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        elif tag == "a":
            self._link = given.get("href", "")
        elif tag == "code":
            self.commands.append("")
        elif self.forms and "form" in self._within:
            self._field(tag, given)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        form, name = self.forms[-1], given.get("name", "")
        kind = given.get("type", "text")
        if tag == "input" and kind in ("checkbox", "radio"):
            form.choices.setdefault(name, []).append(given["value"])
            if "checked" in given:
                form.fields[name] = given["value"]
        elif tag == "input" and name:
            form.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self._area = name
            form.fields[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and (self._select not in form.fields or "selected" in given):
            form.fields[self._select] = given.get("value", "")
        elif tag == "button" and name:
            form.buttons[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            while self._within.pop() != tag:
                pass
        if tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._select = ""
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area] += data
        if "script" not in self._within:
            self.words.append(data)
        if "code" in self._within:
            self.commands[-1] += data
        if self._link and data.strip():
            self.links.setdefault(data.strip(), self._link)


class Page:
    """One page as it was received."""

    def __init__(self, reader: "Reader", response: httpx.Response) -> None:
        self._reader = reader
        self.response = response
        self.status = response.status_code
        self.path = response.url.path
        self.html = response.text
        parser = _Parser()
        parser.feed(self.html)
        self.forms, self.links, self.commands, self.tags = parser.forms, parser.links, parser.commands, parser.tags
        self.text = " ".join(" ".join(parser.words).split())

    def form(self, action: str) -> Form:
        """The form that goes to `action` by POST, else the one by GET."""
        found = [form for form in self.forms if urljoin(self.path, form.action).split("#")[0] == action]
        return sorted(found, key=lambda form: form.method == "get")[0]

    def press(self, action: str, **fields: str) -> "Page":
        """Sends that form with these fields filled in."""
        form = self.form(action)
        unknown = set(fields) - set(form.fields) - set(form.choices)
        assert not unknown, f"the form has no {unknown}"
        return self._reader.send(form, form.fields | fields)

    def follow(self, words: str) -> "Page":
        """The page behind the link with these words."""
        return self._reader.open(urljoin(self.path, self.links[words]))


class Reader:
    """One browser at one control plane."""

    def __init__(self, url: str) -> None:
        headers = {"accept": "text/html"}
        self.client = httpx.Client(base_url=url, follow_redirects=True, timeout=30, headers=headers, trust_env=False)

    def open(self, path: str) -> Page:
        """The page at `path`, redirects followed."""
        return Page(self, self.client.get(path))

    def send(self, form: Form, fields: dict[str, str]) -> Page:
        """The page that comes of it."""
        action = form.action.split("#")[0]
        if form.method == "get":
            return Page(self, self.client.get(action, params={**fields, **form.buttons}))
        return Page(self, self.client.post(action, data=fields))
