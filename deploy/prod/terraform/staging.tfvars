environment            = "staging"
project                = "example-staging"
kafka_plan             = "startup-2"
postgres_plan          = "startup-4"
allowed_networks       = ["192.0.2.0/24"]
termination_protection = false
check_retention_hours  = 24
