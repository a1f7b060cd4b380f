"""What every stage shares and none owns: time, paths, files, manifests, bucket, warehouse."""
