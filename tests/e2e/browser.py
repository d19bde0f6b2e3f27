"""A participant's browser: headless Chromium that trusts the workshop's CA and nothing odd."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

AGAIN = 25  # seconds until somebody presses Shift-Enter once more
PATIENCE = 300  # seconds; Lab's first load on an emulated machine takes a minute or two


@contextmanager
def chromium(folder: Path, ca: Path) -> Iterator[WebDriver]:
    """A new profile below `folder` whose trust store holds `ca`; certificates are verified."""
    store = folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    for words in (
        ["certutil", "-N", "-d", database, "--empty-password"],
        ["certutil", "-A", "-d", database, "-n", "workshop", "-t", "C,,", "-i", str(ca)],
    ):
        subprocess.run(words, check=True, capture_output=True)
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        "--headless=new",
        "--no-sandbox",  # root in a container has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,1000",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    service = Service("/usr/bin/chromedriver", env={**os.environ, "HOME": str(folder)})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


class Browser:
    """What a participant does in it."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver
        self.wait = WebDriverWait(
            driver, PATIENCE, poll_frequency=1, ignored_exceptions=[WebDriverException]
        )

    def log_in(self, url: str, username: str, password: str) -> None:
        self.driver.get(url)
        self.wait.until(lambda d: d.find_element(By.ID, "username_input")).send_keys(username)
        self.driver.find_element(By.ID, "password_input").send_keys(password + Keys.ENTER)

    def lab(self, url: str = "") -> None:
        """Wait until Lab stands, opening `url` first if given."""
        if url:
            self.driver.get(url)
        self.wait.until(lambda d: "/lab" in d.current_url)
        self.wait.until(lambda d: d.find_element(By.CSS_SELECTOR, ".jp-LabShell"))

    def new_notebook(self) -> None:
        card = ".jp-LauncherCard[data-category='Notebook']"
        self.wait.until(lambda d: d.find_element(By.CSS_SELECTOR, card).is_displayed())
        self.driver.find_element(By.CSS_SELECTOR, card).click()
        self.wait.until(lambda d: d.find_element(By.CSS_SELECTOR, ".jp-Notebook .cm-content"))

    def run_cell(self, code: str) -> None:
        """Type into the last cell and run it, until it has its number.

        Lab drops what is run before the kernel answers, so a person would press again; as we do.
        """

        def typed(driver: WebDriver) -> int:
            cells = self._cells()
            cells[-1].click()
            cells[-1].send_keys(code)
            return len(cells)

        last = self.wait.until(typed) - 1
        for _ in range(PATIENCE // AGAIN):
            self.wait.until(lambda d: self._press(last))
            try:
                WebDriverWait(
                    self.driver, AGAIN, poll_frequency=0.5, ignored_exceptions=[WebDriverException]
                ).until(lambda d: self._ran(last))
            except TimeoutException:
                continue
            return
        raise TimeoutException(f"the cell was never run: {code}")

    def _cells(self) -> list[WebElement]:
        found = self.driver.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell .cm-content")
        return list(found)

    def _press(self, number: int) -> bool:
        cell = self._cells()[number]
        cell.click()
        cell.send_keys(Keys.SHIFT, Keys.ENTER)
        return True

    def _ran(self, number: int) -> bool:
        prompts = self.driver.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-InputPrompt")
        return bool(re.match(r"\[\d+\]", prompts[number].text))

    def see(self, selector: str) -> None:
        self.wait.until(lambda d: d.find_element(By.CSS_SELECTOR, selector))

    def save(self) -> None:
        body = self.driver.find_element(By.TAG_NAME, "body")
        body.send_keys(Keys.CONTROL, "s")
        time.sleep(3)

    def screenshot(self, to: Path) -> None:
        self.driver.save_screenshot(str(to))
