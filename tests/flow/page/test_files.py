"""What a browser is sent: nothing that is not ours or pinned, nothing that the policy would have to allow."""

from __future__ import annotations

import hashlib
import re

from mqtrace.flow.page.files import static_files

#: @dagrejs/dagre 3.1.3, dist/dagre.esm.js as the npm registry has it.
DAGRE = "b0ddaf4af1417bec9bd89373a3a3987f081727d6cc6d95fc40dbf85a19bdf3b0"
FILES = static_files()
OURS = {path: file.content.decode() for path, file in FILES.items() if path.startswith("js/")}


def test_dagre_is_the_one_that_was_published_with_its_licence_beside_it() -> None:
    assert hashlib.sha256(FILES["vendor/dagre.esm.js"].content).hexdigest() == DAGRE
    assert b"Permission is hereby granted" in FILES["vendor/dagre.esm.js.LEGAL.txt"].content


def test_text_never_becomes_markup_or_code() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
        r"|createContextualFragment|srcdoc|javascript:|setAttribute\(\s*[\"'](?:style|on)"
    )
    for path, text in OURS.items():
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert not forbidden.findall(code), path


def test_elements_are_made_in_one_place() -> None:
    makers = [path for path, text in OURS.items() if "createElement(" in text or "createElementNS(" in text]
    assert sorted(makers) == ["js/dom.js", "js/map.js"]  # the map measures text on a canvas
    assert OURS["js/map.js"].count("createElement(") == 1


def test_the_document_holds_no_style_and_no_script_of_its_own() -> None:
    html = FILES["index.html"].content.decode()
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", html)
    assert set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html)) <= {f"/static/{path}" for path in FILES}


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path, file in FILES.items():
        if not path.startswith("vendor/"):
            found = re.findall(r"https?://[^\s\"'`)]+", file.content.decode())
            assert set(found) <= {"http://www.w3.org/2000/svg"}, path


def test_every_module_is_asked_for_at_once() -> None:
    """A browser that learns of a module from another one's import waits once more for each level."""
    html = FILES["index.html"].content.decode()
    preloaded = set(re.findall(r'rel="modulepreload" href="/static/([^"]+)"', html))
    assert preloaded == {path for path in FILES if path.endswith(".js")} - {"js/main.js"}


def test_every_import_is_of_a_file_that_is_there() -> None:
    for path, text in OURS.items():
        for name in re.findall(r'^import .* from "([^"]+)";$', text, flags=re.MULTILINE):
            target = name.removeprefix("../") if name.startswith("../") else f"js/{name.removeprefix('./')}"
            assert target in FILES, (path, name)
