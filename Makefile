# Everything a contributor needs. `make` alone says what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := pkg services/order services/inventory services/payment services/notification services/analytics stack web cmd/cartwheel test
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: web/dist/index.html ## Build bin/cartwheel, the console inside
	go build -o bin/cartwheel ./cmd/cartwheel

.PHONY: demo
demo: build ## Build and run the whole shop, with a history and sensors
	bin/cartwheel up --demo

.PHONY: test
test: ## Everything that must be green, with a summary
	@scripts/test

.PHONY: test-real
test-real: ## The same suites on a real Kafka and Redis, without Docker
	@scripts/test-real

.PHONY: test-long
test-long: ## Random fault schedules that take long
	@scripts/test-long

COMPOSE := docker compose

.PHONY: up
up: ## The shop in containers, until all of it is healthy
	VERSION=$${VERSION:-dev} REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(COMPOSE) up -d --build --wait
	@echo "console: http://$$($(COMPOSE) port edge 8080)"

.PHONY: down
down: ## Stop the containers; their data stays
	$(COMPOSE) down

.PHONY: logs
logs: ## Follow the containers' logs
	$(COMPOSE) logs -f --tail 50

.PHONY: ps
ps: ## How the containers are doing
	$(COMPOSE) ps -a

.PHONY: dev
dev: ## Run SERVICE from source, with a debugger's port, against the rest in containers
	@scripts/dev "$(SERVICE)"

.PHONY: test-compose
test-compose: ## The scenarios against containers, and a kill of each kind of them
	@scripts/test-compose

.PHONY: lint
lint: ## Formatting, vet, golangci-lint, eslint
	@scripts/lint

.PHONY: generate
generate: web/node_modules/.installed ## Write the generated documents and the API's types anew
	go generate ./pkg/events/...
	go run ./cmd/cartwheel docs
	cd web && npm run --silent generate

.PHONY: screenshots
screenshots: build test/browser/node_modules/.installed ## Every page in both themes, on a desk and a phone, to bin/screenshots; and how a page takes a burst
	scripts/with-shop node test/browser/screenshots.mjs bin/screenshots $(PAGES)
	node test/browser/burst.mjs

.PHONY: pictures
pictures: build test/browser/node_modules/.installed ## The README's pictures, anew, to docs/images
	scripts/with-shop node test/browser/screenshots.mjs --chosen docs/images

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin web/dist/assets web/dist/index.html web/node_modules test/browser/node_modules

WEB_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/openapi.json web/vite.config.ts web/package-lock.json

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --prefer-offline --no-audit --no-fund --loglevel=error
	touch $@

test/browser/node_modules/.installed: test/browser/package-lock.json
	cd test/browser && npm ci --prefer-offline --no-audit --no-fund --loglevel=error
	touch $@

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run --silent build
	touch $@
