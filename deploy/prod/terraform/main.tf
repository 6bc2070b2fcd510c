# A Kafka with the topics and a service user, and a Postgres with a database, at Aiven.

data "aiven_project" "this" {
  project = var.project
}

locals {
  hour_ms = 60 * 60 * 1000

  topics = {
    success     = { name = "checks-success", partitions = var.check_partitions, compacted = false }
    failure     = { name = "checks-failure", partitions = var.check_partitions, compacted = false }
    dead_letter = { name = "checks-dead-letter", partitions = 1, compacted = false }
    sites       = { name = "sites", partitions = var.site_partitions, compacted = true }
  }
}

resource "aiven_kafka" "this" {
  project                = data.aiven_project.this.project
  cloud_name             = var.cloud_name
  plan                   = var.kafka_plan
  service_name           = "sitewatch-kafka-${var.environment}"
  termination_protection = var.termination_protection

  kafka_user_config {
    kafka_version    = var.kafka_version
    ip_filter_string = var.allowed_networks

    kafka {
      # A topic with a mistyped name is an error, not a topic.
      auto_create_topics_enable = false
    }

    kafka_authentication_methods {
      certificate = true
      sasl        = false
    }
  }
}

resource "aiven_kafka_topic" "this" {
  for_each = local.topics

  project      = aiven_kafka.this.project
  service_name = aiven_kafka.this.service_name
  topic_name   = each.value.name
  partitions   = each.value.partitions
  replication  = var.replication

  config {
    cleanup_policy      = each.value.compacted ? "compact" : "delete"
    retention_ms        = each.value.compacted ? "-1" : tostring(var.check_retention_hours * local.hour_ms)
    min_insync_replicas = tostring(var.replication - 1)
  }
}

# Its certificate is what the programs show. The service is Sitewatch's alone, so the default rule
# stays, which lets each of the service's users use every topic.
resource "aiven_kafka_user" "sitewatch" {
  project      = aiven_kafka.this.project
  service_name = aiven_kafka.this.service_name
  username     = "sitewatch"
}

resource "aiven_pg" "this" {
  project                = data.aiven_project.this.project
  cloud_name             = var.cloud_name
  plan                   = var.postgres_plan
  service_name           = "sitewatch-postgres-${var.environment}"
  termination_protection = var.termination_protection

  pg_user_config {
    pg_version       = var.postgres_version
    ip_filter_string = var.allowed_networks
  }
}

resource "aiven_pg_database" "sitewatch" {
  project       = aiven_pg.this.project
  service_name  = aiven_pg.this.service_name
  database_name = var.database
}
