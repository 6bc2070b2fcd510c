environment      = "production"
project          = "example-production"
kafka_plan       = "business-4"
postgres_plan    = "business-8"
allowed_networks = ["198.51.100.0/24"]
