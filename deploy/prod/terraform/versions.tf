terraform {
  required_version = ">= 1.8.0"

  required_providers {
    aiven = {
      source  = "aiven/aiven"
      version = ">= 4.40.0, < 5.0.0"
    }
  }
}

# The token is in the environment: AIVEN_TOKEN.
provider "aiven" {}
