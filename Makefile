# Two commands do everything on a fresh machine with Rust and make: `make run` and `make test`.

.PHONY: run test bench check prepare client stop clean help

run: ## Start the service with PostgreSQL and RabbitMQ of its own, and print how to talk to it
	@scripts/run

test: ## Run all tests on real PostgreSQL and RabbitMQ
	@scripts/test

bench: ## Measure the service beside the limits of this machine
	@scripts/bench $(ROW)

check: ## What CI runs: format, tests, lints, generated files
	@.ci/run

prepare: ## Renew what is generated from the code: .sqlx and openapi/openapi.json
	@scripts/prepare

client: ## Pack the client package, to be installed with npm
	@scripts/client pack

stop: ## Stop the service and its servers; their data stay
	@scripts/run stop
	@scripts/services stop run
	@scripts/services stop test
	@scripts/services stop bench

clean: ## Delete the servers with their data, and everything that was built
	@scripts/run stop
	@for name in run test bench; do scripts/services remove $$name; done
	@rm -rf .local target

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10
