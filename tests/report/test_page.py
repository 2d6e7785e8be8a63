"""The page itself; where there is no Chromium, its text alone."""

import re
from pathlib import Path

import pytest

from hail_study.report import build_table, results, write_report
from hail_study.report.page import embed, render_page

STUDY = """\
name: page
description: Is <b>everything</b> escaped?
remove:
  med: {peers.coupling: independent}
cross:
  encoder.dim: [32, 64]
  encoder.blocks: [1, 2]
search: {trials: 1, space: {training.learning_rate: {low: 0.001, high: 0.01}}}
seeds: 3
claims:
  - removing med lowers ndcg@10
"""


@pytest.fixture(scope="module")
def page(make_study, fill, tmp_path_factory) -> Path:
    study = make_study(text=STUDY)
    record = fill(study, lambda arm: 0.3 + 0.1 * len(arm.changes))
    record.rows[0] |= {"status": "failed", "error": "loss is <nan>"}
    folder = tmp_path_factory.mktemp("page")
    write_report(results(record, study), folder)
    return folder / "report.html"


def test_needs_no_network_and_no_other_file(page) -> None:
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]+"', text)
    assert not re.findall(r"url\((?!#)", text)


def test_provenance_says_how_the_arms_were_judged(page) -> None:
    assert "<dt>Protocol</dt><dd>leave one out; all items ranked, seen ones too</dd>" in page.read_text()


def test_verdicts_come_before_the_table_and_the_table_before_figures(page) -> None:
    places = [page.read_text().index(f'<section id="{name}"') for name in ("verdicts", "table", "figures", "runs")]
    assert places == sorted(places)


def test_what_the_study_says_is_escaped(page) -> None:
    text = page.read_text()
    assert "<b>everything" not in text
    assert "loss is &lt;nan&gt;" in text


def test_identifiers_are_unique(page) -> None:
    found = re.findall(r'\sid="([^"]+)"', page.read_text())
    assert len(found) == len(set(found))


def test_references_within_a_figure_follow_its_identifiers() -> None:
    svg = (
        '<?xml version="1.0"?><svg width="72pt" height="36.5pt"><metadata>x</metadata><defs><path id="m1"/></defs>'
        '<use xlink:href="#m1"/><g clip-path="url(#p2)"/></svg>'
    )
    found = embed(svg, "forest")
    assert 'id="forest-m1"' in found
    assert 'href="#forest-m1"' in found
    assert "url(#forest-p2)" in found
    assert "metadata" not in found
    assert found.startswith('<svg style="width:1.00in"')


def test_says_what_was_planned_and_what_was_run(page) -> None:
    text = page.read_text()
    assert "2 / 3, 1 failed" in text
    assert "0 / 1" in text


def test_a_study_with_nothing_but_arms_has_a_page_too(study, record) -> None:
    found = results(record, study)
    text = render_page(found, build_table(found), {})
    assert 'id="effects"' not in text
    assert "out of memory" in text


def metrics(browser, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )


def test_in_a_browser_it_loads_nothing_and_logs_nothing(page, browser) -> None:
    browser.get(page.as_uri())
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []


def test_the_table_sorts_by_keyboard_and_says_so(page, browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(page.as_uri())
    arms = "return [...document.querySelectorAll('#table tbody')[0].rows].map(r => r.cells[0].textContent)"
    button = browser.find_elements("css selector", "#table th button")[0]
    browser.execute_script("arguments[0].focus()", button)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.execute_script(arms) == sorted(browser.execute_script(arms))
    heading = browser.find_elements("css selector", "#table th")[0]
    assert heading.get_attribute("aria-sort") == "ascending"
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert browser.execute_script(arms) == sorted(browser.execute_script(arms), reverse=True)
    assert "descending" in browser.find_element("id", "sorted").get_attribute("textContent")


def test_numbers_sort_as_numbers_largest_first(page, browser) -> None:
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('#table th button')[2].click()")
    values = browser.execute_script(
        "return [...document.querySelectorAll('#table tbody')[0].rows].map(r => r.cells[2].dataset.value)"
    )
    numbers = [float(value) for value in values if value is not None]
    assert numbers == sorted(numbers, reverse=True)
    assert values[-1] is None


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(page, browser, width: int) -> None:
    browser.get(page.as_uri())
    metrics(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(browser.get_screenshot_as_png()) > 10_000


def test_dark_mode_is_dark(page, browser) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    for scheme, expected in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 22, 24)")):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(page.as_uri())
        assert browser.execute_script(colour) == expected


def test_it_prints_on_white_paper_with_nothing_cut_off(page, browser) -> None:
    media = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())
    style = "getComputedStyle(document.querySelector('{}'))"
    assert browser.execute_script(f"return {style.format('body')}.backgroundColor") == "rgb(255, 255, 255)"
    assert browser.execute_script(f"return {style.format('.scroll')}.overflowX") == "visible"
    assert browser.execute_script(f"return {style.format('nav')}.display") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_first_stop_of_the_tab_key_skips_the_navigation(page, browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(page.as_uri())
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("class") == "skip"
