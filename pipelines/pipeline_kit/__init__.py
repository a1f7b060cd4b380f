"""What every stage shares and none owns: time, paths, atomic files, manifests, bucket, warehouse."""
