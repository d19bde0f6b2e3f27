"""In a real browser: a participant's day, and the instructor's look over their shoulder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.browser import Browser, chromium
from tests.e2e.machine import artefacts
from tests.engine.workshop import Workshop

PLOT = "import matplotlib.pyplot as plt; _ = plt.plot([1, 4, 9])"
MAP = "from ipyleaflet import Map; Map(center=(52.2, 0.1), zoom=9)"


@pytest.fixture
def open_browser(workshop: Workshop, tmp_path: Path) -> Iterator[Callable[[], Browser]]:
    with chromium(tmp_path, workshop.ca) as driver:
        yield lambda: Browser(driver)


def log_in(browser: Browser, workshop: Workshop, username: str) -> None:
    """As the sheet says: its address leads to a page where the user name stands already."""
    password = str(workshop.credentials[username].password)
    browser.log_in(workshop.url, username, password)


def test_a_participants_day(workshop: Workshop, open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()
    log_in(browser, workshop, "user02")
    browser.lab()
    browser.new_notebook()
    try:
        browser.run_cell(PLOT)
        browser.see(".jp-OutputArea-output img")
        browser.run_cell(MAP)
        browser.see(".leaflet-container .leaflet-map-pane")
        # How much is left is seen at a glance, within the person's own limit.
        browser.wait.until(lambda d: "512" in top_bar(browser))
    finally:
        browser.screenshot(artefacts() / "participant.png")
    browser.save()
    home = "/opt/provision/homes/user02/home"
    browser.wait.until(lambda d: workshop.run(f"grep -q image/png {home}/Untitled.ipynb").ok)

    browser.driver.get(f"{workshop.url}/hub/logout")
    browser.driver.get(f"{workshop.url}/hub/home")
    browser.wait.until(lambda d: d.find_element(By.ID, "username_input"))

    log_in(browser, workshop, "user02")
    browser.lab()
    browser.lab(f"{workshop.url}/user/user02/lab/tree/Untitled.ipynb")
    browser.see(".jp-OutputArea-output img")
    browser.screenshot(artefacts() / "participant-again.png")


def top_bar(browser: Browser) -> str:
    return str(browser.driver.find_element(By.ID, "jp-top-bar").text)


def test_the_instructor_opens_a_participants_server(
    workshop: Workshop, open_browser: Callable[[], Browser]
) -> None:
    with workshop.serving("user03"):
        workshop.in_container("user03", "echo stuck > ~/question.txt")
    browser = open_browser()
    log_in(browser, workshop, "instructor")
    browser.wait.until(lambda d: "/hub/spawn" in d.current_url or "/lab" in d.current_url)
    browser.driver.get(f"{workshop.url}/hub/admin")
    row = "//tr[.//*[normalize-space()='user03']]"
    try:
        browser.wait.until(lambda d: d.find_element(By.XPATH, row).is_displayed())
        access = browser.driver.find_element(By.XPATH, f"{row}//a[contains(., 'Access Server')]")
    finally:
        browser.screenshot(artefacts() / "admin.png")
    page = browser.driver.page_source
    assert "Shutdown Hub" not in page or not shuts_down(browser)
    browser.driver.get(str(access.get_attribute("href")))
    # JupyterHub asks whoever opens somebody else's server whether they mean to.
    browser.screenshot(artefacts() / "instructor-asked.png")
    for button in browser.driver.find_elements(By.CSS_SELECTOR, "form [type=submit]"):
        button.click()
        break
    browser.lab()
    assert "/user/user03/" in browser.driver.current_url
    listed = "//li[contains(@class, 'jp-DirListing-item')][contains(., 'question.txt')]"
    browser.wait.until(lambda d: d.find_element(By.XPATH, listed).is_displayed())
    browser.screenshot(artefacts() / "instructor.png")


def shuts_down(browser: Browser) -> bool:
    """Whether the hub lets this person's browser end it."""
    status = browser.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const token = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? "";
        fetch("/hub/api/shutdown", {method: "POST", headers: {"X-XSRFToken": token}})
            .then(answer => done(answer.status));
        """
    )
    return bool(status < 400)
