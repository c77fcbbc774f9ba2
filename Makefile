# Cooee. `make run` sets everything up and starts the demo; `make test` sets everything up and checks all of it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: run test lint unit browser proxies bench soak pins clean

run: .venv/.run
	@$(BIN)/cooee demo

test: lint unit

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three at a time: most tests wait for processes and timers more than for a core. One file stays with one worker.
# Without a browser, and without the right to install one, all but the tests in a browser are run; so with the proxies.
# CI needs both.
unit: .venv/.dev browser proxies
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $$([ -n "$$CI" ] || { \
		$(FIND_BROWSER) || echo $(IN_BROWSER); $(FIND_PROXIES) || echo $(BEHIND_PROXIES); })

# The console is tried in a real Chromium. Debian's is installed where that needs no password.
FIND_BROWSER := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
IN_BROWSER := $(addprefix --ignore=tests/console/,test_axe.py test_browser.py \
	test_forms_browser.py test_operator_browser.py test_operator_forms_browser.py)
APT := apt-get -q -y

browser:
	@$(FIND_BROWSER) && exit 0; \
	become=; [ "$$(id -u)" = 0 ] || become="sudo -n"; \
	if command -v apt-get >/dev/null && $$become true 2>/dev/null; then \
		$$become $(APT) update && $$become env DEBIAN_FRONTEND=noninteractive $(APT) install --no-install-recommends chromium; \
	fi; \
	$(FIND_BROWSER) || echo "No Chromium here, and none can be installed: the tests in a browser are left out (apt-get install chromium)."

# The documentation's lines for nginx and Caddy are tried in them. Debian's packages are unpacked, and not installed:
# that needs no password, and starts nothing on port 80.
PROXIES := .venv/proxies
FIND_PROXIES := ( PATH="$$PATH:/usr/sbin:$(PROXIES)/usr/sbin:$(PROXIES)/usr/bin"; command -v nginx && command -v caddy ) >/dev/null
BEHIND_PROXIES := --ignore=tests/docs/test_proxies.py

proxies: .venv/pyvenv.cfg
	@$(FIND_PROXIES) && exit 0; \
	if command -v apt-get >/dev/null && command -v dpkg >/dev/null; then \
		[ "$$(id -u)" != 0 ] || $(APT) update; \
		mkdir -p $(PROXIES) && cd $(PROXIES) && $(APT) download nginx caddy && for each in *.deb; do dpkg -x $$each .; done; cd - >/dev/null; \
	fi; \
	$(FIND_PROXIES) || echo "No nginx and Caddy here, and none to be had: the tests behind them are left out (apt-get install nginx caddy)."

bench: .venv/.dev
	$(BIN)/python -m bench

# A fault storm on real processes, both engines: docs/reliability.md. SOAK="--seed 7 --minutes 60 --report"
soak: .venv/.dev
	$(BIN)/python -m soak $(SOAK)

# The virtual environment: uv where it is installed, else the standard library's venv and pip. Pins carry hashes.
.venv/pyvenv.cfg:
ifdef UV
	$(UV) venv -q --allow-existing --python '>=3.11' .venv
else
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Cooee needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
endif

ifdef UV
install = VIRTUAL_ENV=.venv $(UV) pip install -q --require-hashes -r $(1) && VIRTUAL_ENV=.venv $(UV) pip install -q --no-deps --no-build-isolation -e .
else
install = $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1) && $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
endif

.venv/.run: .venv/pyvenv.cfg requirements/run.txt pyproject.toml
	$(call install,requirements/run.txt)
	@touch $@

.venv/.dev: .venv/pyvenv.cfg requirements/dev.txt pyproject.toml
	$(call install,requirements/dev.txt)
	@touch $@ .venv/.run

# Renews the pins (needs uv). No index lines and no addresses are written.
pins:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/run.in -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/dev.in -o requirements/dev.txt

clean:
	rm -rf .venv .cache build dist demo-data
