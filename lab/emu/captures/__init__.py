"""What interfaces of a kernel network saw, as capture files: of a trial, and of a lab that goes on."""
