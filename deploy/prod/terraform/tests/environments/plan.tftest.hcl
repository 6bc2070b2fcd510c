# With the variables of staging.tfvars or production.tfvars, which check.sh gives.

mock_provider "aiven" {}

run "each_environment_has_services_of_its_own" {
  command = plan
  assert {
    condition     = aiven_kafka.this.service_name == "sitewatch-kafka-${var.environment}"
    error_message = "the Kafka of another environment"
  }
  assert {
    condition     = aiven_pg.this.service_name == "sitewatch-postgres-${var.environment}"
    error_message = "the Postgres of another environment"
  }
  assert {
    condition     = aiven_kafka.this.termination_protection == (var.environment == "production")
    error_message = "production is protected from being deleted, staging is not"
  }
}
