# What write-files.sh writes: a .env, and the files that it names.

output "env" {
  description = "The .env of the programs."
  sensitive   = true
  value       = <<-EOT
    KAFKA_BOOTSTRAP_SERVERS=${aiven_kafka.this.service_host}:${aiven_kafka.this.service_port}
    KAFKA_CAFILE=${var.certificates_directory}/kafka/ca.pem
    KAFKA_CERTFILE=${var.certificates_directory}/kafka/service.cert
    KAFKA_KEYFILE=${var.certificates_directory}/kafka/service.key
    KAFKA_TOPIC_SUCCESS=${aiven_kafka_topic.this["success"].topic_name}
    KAFKA_TOPIC_FAILURE=${aiven_kafka_topic.this["failure"].topic_name}
    KAFKA_TOPIC_DEAD_LETTER=${aiven_kafka_topic.this["dead_letter"].topic_name}
    KAFKA_TOPIC_SITES=${aiven_kafka_topic.this["sites"].topic_name}
    POSTGRES_DSN="${local.postgres_dsn}"
  EOT
}

# The service's own user: it owns the database, and so may make the tables.
locals {
  postgres_dsn = join("", [
    "postgresql://${aiven_pg.this.service_username}:${urlencode(aiven_pg.this.service_password)}",
    "@${aiven_pg.this.service_host}:${aiven_pg.this.service_port}/${aiven_pg_database.sitewatch.database_name}",
    "?sslmode=verify-full&sslrootcert=${var.certificates_directory}/postgres/ca.pem",
  ])
}

output "kafka_ca" {
  description = "certificates/kafka/ca.pem"
  sensitive   = true
  value       = data.aiven_project.this.ca_cert
}

output "kafka_cert" {
  description = "certificates/kafka/service.cert"
  sensitive   = true
  value       = aiven_kafka_user.sitewatch.access_cert
}

output "kafka_key" {
  description = "certificates/kafka/service.key"
  sensitive   = true
  value       = aiven_kafka_user.sitewatch.access_key
}

output "postgres_ca" {
  description = "certificates/postgres/ca.pem"
  sensitive   = true
  value       = data.aiven_project.this.ca_cert
}
