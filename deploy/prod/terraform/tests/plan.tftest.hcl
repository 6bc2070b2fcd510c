# What would be made, without a cloud: the provider is a stand-in with the real one's schema.

mock_provider "aiven" {
  mock_data "aiven_project" {
    defaults = { ca_cert = "CA" }
  }
  mock_resource "aiven_kafka" {
    defaults = { service_host = "kafka.example.com", service_port = 12345 }
  }
  mock_resource "aiven_kafka_user" {
    defaults = { access_cert = "CERT", access_key = "KEY" }
  }
  mock_resource "aiven_pg" {
    defaults = {
      service_host     = "pg.example.com"
      service_port     = 5433
      service_username = "admin"
      service_password = "p@ss/word"
    }
  }
}

variables {
  environment      = "staging"
  project          = "example"
  kafka_plan       = "startup-2"
  postgres_plan    = "startup-4"
  allowed_networks = ["192.0.2.0/24"]
}

run "the_topics_are_those_that_the_programs_expect" {
  assert {
    condition = { for t in aiven_kafka_topic.this : t.topic_name => [t.partitions, t.config[0].cleanup_policy] } == {
      "checks-success"     = [12, "delete"]
      "checks-failure"     = [12, "delete"]
      "checks-dead-letter" = [1, "delete"]
      "sites"              = [64, "compact"]
    }
    error_message = "other topics"
  }
  assert {
    condition     = alltrue([for t in aiven_kafka_topic.this : t.replication == 3 && t.config[0].min_insync_replicas == "2"])
    error_message = "an acknowledged check could be lost"
  }
}

run "the_environment_names_them_and_the_files" {
  assert {
    condition     = strcontains(nonsensitive(output.env), "KAFKA_BOOTSTRAP_SERVERS=kafka.example.com:12345\n")
    error_message = nonsensitive(output.env)
  }
  assert {
    condition     = strcontains(nonsensitive(output.env), "KAFKA_KEYFILE=certificates/kafka/service.key\n")
    error_message = nonsensitive(output.env)
  }
  assert {
    condition = strcontains(nonsensitive(output.env), join("", [
      "POSTGRES_DSN=\"postgresql://admin:p%40ss%2Fword@pg.example.com:5433/sitewatch",
    "?sslmode=verify-full&sslrootcert=certificates/postgres/ca.pem\"\n"]))
    error_message = nonsensitive(output.env)
  }
  assert {
    condition     = nonsensitive([output.kafka_ca, output.kafka_cert, output.kafka_key, output.postgres_ca]) == ["CA", "CERT", "KEY", "CA"]
    error_message = "other certificates"
  }
}

run "an_environment_that_is_not_known_is_refused" {
  command = plan
  variables {
    environment = "test"
  }
  expect_failures = [var.environment]
}

run "no_network_at_all_is_refused" {
  command = plan
  variables {
    allowed_networks = []
  }
  expect_failures = [var.allowed_networks]
}

run "one_copy_of_a_topic_is_refused" {
  command = plan
  variables {
    replication = 1
  }
  expect_failures = [var.replication]
}
