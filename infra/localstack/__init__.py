"""Lambda functions as processes of this machine under AWS's own runtime client, and LocalStack that runs them so."""
