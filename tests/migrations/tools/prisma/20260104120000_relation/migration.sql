-- AlterTable
ALTER TABLE "app"."enrolment" ADD COLUMN     "courseId" BIGINT;

-- AddForeignKey
ALTER TABLE "app"."enrolment" ADD CONSTRAINT "enrolment_courseId_fkey" FOREIGN KEY ("org_id", "courseId") REFERENCES "app"."course"("org_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;
