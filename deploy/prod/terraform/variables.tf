variable "environment" {
  description = "Which of the two this is; part of the services' names."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "project" {
  description = "The project at Aiven, which is there already."
  type        = string
}

variable "cloud_name" {
  description = "Cloud and region of both services."
  type        = string
  default     = "google-europe-west1"
}

variable "kafka_plan" {
  description = "Size of Kafka."
  type        = string
}

variable "kafka_version" {
  description = "Version of Kafka."
  type        = string
  default     = "4.1"
}

variable "postgres_plan" {
  description = "Size of Postgres."
  type        = string
}

variable "postgres_version" {
  description = "Version of Postgres; Sitewatch is tested with 15 and 17."
  type        = string
  default     = "17"
}

variable "allowed_networks" {
  description = "Networks that may connect to both services, as 192.0.2.0/24."
  type        = set(string)

  validation {
    condition     = length(var.allowed_networks) > 0 && alltrue([for n in var.allowed_networks : can(cidrhost(n, 0))])
    error_message = "Name at least one network, each as ADDRESS/BITS."
  }
}

variable "termination_protection" {
  description = "Refuse to delete the services."
  type        = bool
  default     = true
}

variable "replication" {
  description = "Copies of each topic; a write waits for all but one of them."
  type        = number
  default     = 3

  validation {
    condition     = var.replication >= 2
    error_message = "With one copy an acknowledged check is lost with its broker."
  }
}

variable "check_partitions" {
  description = "Partitions of each topic of checks: workers of all consumers at the most."
  type        = number
  default     = 12
}

variable "site_partitions" {
  description = "Partitions of the topic of sites: producers of a location at the most."
  type        = number
  default     = 64
}

variable "check_retention_hours" {
  description = "How long Kafka keeps checks: how long Postgres may be away, or how old a restored backup may be."
  type        = number
  default     = 168
}

variable "database" {
  description = "Name of the database."
  type        = string
  default     = "sitewatch"
}

variable "certificates_directory" {
  description = "Where the programs find kafka/ca.pem and the other files, as the .env names it."
  type        = string
  default     = "certificates"
}
